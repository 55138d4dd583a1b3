from __future__ import annotations

from pathlib import Path
from typing import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone import arrow
from halftone.config import Config
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError
from halftone.preprocess import catalogue, listed_files, table


def write_csv(folder: Path, text: str) -> str:
    (folder / "list.csv").write_text(text)
    return str(folder / "list.csv")


def write_parquet(folder: Path, columns: dict[str, object]) -> str:
    pq.write_table(pa.table(columns), folder / "list.parquet")
    return str(folder / "list.parquet")


def test_a_csv_file_names_paths_labels_groups_and_splits(tmp_path: Path) -> None:
    url = write_csv(tmp_path, "path,label,group,split\n001.jpg,07,a,train\n002.jpg,8,b,test\n")
    image_listing = table.list_table(url)
    assert image_listing.files.schema == listed_files.FILES
    assert list(arrow.iter_rows(image_listing.files, *listed_files.FILES.names)) == [
        ("001.jpg", "07", "a", "train", -1, 0.0),
        ("002.jpg", "8", "b", "test", -1, 0.0),
    ]
    assert (image_listing.has_labels, image_listing.ignored, image_listing.unreadable) == (
        True,
        {},
        [],
    )


def test_a_parquet_file_with_sizes_and_times(tmp_path: Path) -> None:
    columns = {"path": ["a/1.jpg", "b/2.jpg"], "size_bytes": [5, None], "modified": [9.5, None]}
    image_listing = table.list_table(write_parquet(tmp_path, columns))
    assert list(arrow.iter_rows(image_listing.files, *listed_files.FILES.names)) == [
        ("a/1.jpg", "", "", "", 5, 9.5),
        ("b/2.jpg", "", "", "", -1, 0.0),
    ]
    assert not image_listing.has_labels


@pytest.mark.parametrize(
    ("labels", "sizes"),
    [
        (pa.array(["7", "8", None]).dictionary_encode(), [5.0, 6.0, None]),
        (pa.array(["7", "8", None], pa.large_string()), pa.array([5, 6, None], pa.int16())),
        (pa.array([7, 8, None]), ["5", "6", None]),
    ],
    ids=["categories, floats", "large text, small numbers", "numbers, text"],
)
def test_columns_of_other_types_are_converted(
    tmp_path: Path, labels: pa.Array, sizes: object
) -> None:
    columns = {"path": ["1.jpg", "2.jpg", "3.jpg"], "label": labels, "size_bytes": sizes}
    files = table.list_table(write_parquet(tmp_path, columns)).files
    assert files["label"].to_pylist() == ["7", "8", ""]
    assert files["size_bytes"].to_pylist() == [5, 6, -1]


def test_a_column_that_cannot_be_converted_is_an_error(tmp_path: Path) -> None:
    url = write_parquet(tmp_path, {"path": ["1.jpg"], "size_bytes": ["small"]})
    with pytest.raises(InputError) as caught:
        table.list_table(url)
    assert str(caught.value) == (
        f"{url}: column size_bytes must be int64: Failed to parse string: 'small' as a scalar of "
        "type int64"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.jpg\n", "has no column path; it has file, and may have path, label, group, "
         "split, size_bytes, modified"),
        ("path\n", "names no images"),
        ("path,label\na.jpg,x\n,y\n", "row 2 has no path"),
        ("path\na.jpg\nb.jpg\na.jpg\n", "names 1 paths more than once, such as a.jpg"),
    ],
)  # fmt: skip
def test_an_unusable_table_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    url = write_csv(tmp_path, text)
    with pytest.raises(InputError) as caught:
        table.list_table(url)
    assert str(caught.value) == f"{url}: {message}"


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        table.list_table(f"{tmp_path}/nowhere.csv")
    assert str(caught.value) == f"{tmp_path}/nowhere.csv: no such file; check preprocess.catalogue"


def test_an_invalid_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_text("path\n")
    with pytest.raises(InputError, match=r"list\.parquet: neither Parquet nor CSV: "):
        table.list_table(str(tmp_path / "list.parquet"))


def test_a_table_takes_precedence_over_the_patterns_of_the_config(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    url = write_csv(
        tmp_path, "path,label,split\nx/1.jpg,cat,test\nx/2.jpg,dog,val\nx/3.jpg,,train\n"
    )
    images = catalogue.build_catalogue("/images", config(preprocess={"catalogue": url}))
    rows = {row["path"]: row for row in images.entries.to_pylist()}
    assert {path: (row["label"], SPLITS[row["split"]]) for path, row in rows.items()} == {
        "x/1.jpg": ("cat", "test"),
        "x/2.jpg": ("dog", "validation"),
    }
    assert [image[:3] for image in images.unusable_images] == [
        ("x/3.jpg", "unlabelled", "preprocess.catalogue gives it no label")
    ]


def test_a_group_of_a_table_stays_in_one_split(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    lines = [f"{kind}/{n}.jpg,{kind},{n}" for kind in ("a", "b") for n in range(40)]
    url = write_csv(tmp_path, "\n".join(["path,label,group", *lines]))
    splits = {"validation_fraction": 0.3, "test_fraction": 0.3}
    settings = config(preprocess={"catalogue": url}, splits=splits)
    entries = catalogue.build_catalogue("/images", settings).entries.to_pylist()
    split = {row["path"]: row["split"] for row in entries}
    assert all(split[f"a/{n}.jpg"] == split[f"b/{n}.jpg"] for n in range(40))
    assert set(split.values()) == {0, 1, 2}


def test_an_unknown_split_is_an_error(tmp_path: Path, config: Callable[..., Config]) -> None:
    url = write_csv(tmp_path, "path,label,split\n1.jpg,cat,test\n2.jpg,dog,later\n")
    with pytest.raises(InputError) as caught:
        catalogue.build_catalogue("/images", config(preprocess={"catalogue": url}))
    assert str(caught.value) == (
        "2.jpg: its split is 'later'; it must be train, validation or test (or val, valid, dev, "
        "training, testing)"
    )
