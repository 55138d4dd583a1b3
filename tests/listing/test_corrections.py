"""Accepted corrections in a CSV or Parquet table of images."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone.config import config_from_mapping
from halftone.errors import InputError
from halftone.listing import plan_listing
from listed_images import list_images

HEADER = "path,label,suggested_label,accept,rank"


def labels_of(table: Path) -> dict[str, str]:
    settings = {"preprocess": {"catalogue": str(table)}}
    listed = list_images(str(table.parent), config_from_mapping(settings, "test"), False)
    return {entry["key"].rpartition("/")[2]: entry["label"] for entry in listed.entries}


def write_csv(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "corrections.csv"
    path.write_text("\n".join([*lines, ""]))
    return path


def test_a_suggestion_counts_where_it_is_accepted(tmp_path: Path) -> None:
    lines = ["a.png,cat,dog,yes,1", "b.png,cat,dog,,2", "c.png,cat,dog,no,3"]
    lines += ["d.png,cat,owl, YES ,4", "e.png,cat,,,", "f.png,,owl,yes,"]
    assert labels_of(write_csv(tmp_path, HEADER, *lines)) == {
        "a.png": "dog",
        "b.png": "cat",
        "c.png": "cat",
        "d.png": "owl",
        "e.png": "cat",
        "f.png": "owl",
    }


def test_a_parquet_file_may_have_truth_values(tmp_path: Path) -> None:
    columns = {
        "path": ["a.png", "b.png", "c.png"],
        "label": ["cat", "cat", "cat"],
        "suggested_label": ["dog", "dog", None],
        "accept": [True, False, None],
    }
    path = tmp_path / "corrections.parquet"
    pq.write_table(pa.table(columns), path)
    assert labels_of(path) == {"a.png": "dog", "b.png": "cat", "c.png": "cat"}


@pytest.mark.parametrize("header", ["path,label,accept", "path,label,suggested_label"])
def test_without_both_columns_a_table_has_no_corrections(tmp_path: Path, header: str) -> None:
    path = write_csv(tmp_path, header, "a.png,cat,yes")
    assert labels_of(path) == {"a.png": "cat"}
    assert plan_listing(str(tmp_path), str(path), ()).unknown_columns == (header.split(",")[2],)


def test_columns_of_corrections_have_a_meaning(tmp_path: Path) -> None:
    path = write_csv(tmp_path, HEADER, "a.png,cat,dog,yes,1")
    plan = plan_listing(str(tmp_path), str(path), ())
    assert (plan.has_labels, plan.unknown_columns) == (True, ("rank",))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,cat,dog,maybe,1", "accept of a.png is 'maybe'; it must be yes, no or empty"),
        (
            "a.png,cat,,yes,1",
            "accept of a.png is 'yes', but its suggested_label is empty; write the label there, "
            "or remove 'yes'",
        ),
    ],
)
def test_a_cell_that_is_no_answer_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    path = write_csv(tmp_path, HEADER, line)
    with pytest.raises(InputError) as error:
        labels_of(path)
    assert str(error.value) == f"{path}: {message}"
