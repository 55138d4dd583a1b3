"""A table of images as a Delta table that delta-rs has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import pytest
from arro3.core import Array, DataType, Table

from halftone.errors import InputError
from halftone.listing import plan_listing
from halftone.listing.parquet_table import find_parquet_files, open_parquet_table
from halftone.storage import read_table


def write(url: str, mode: Any, labels: dict[str, str], **options: Any) -> deltalake.DeltaTable:
    columns = {"path": [*labels], "label": [*labels.values()]}
    table = Table.from_pydict({n: Array(c, DataType.string()) for n, c in columns.items()})
    deltalake.write_deltalake(url, table, mode=mode, **options)
    return deltalake.DeltaTable(url)


def rows(files: list[tuple[str, int]]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for url, size_bytes in files:
        assert Path(url).stat().st_size == size_bytes
        found += read_table(url).to_pylist()
    return sorted(found, key=lambda row: row["path"])


def refusal(url: str) -> str:
    with pytest.raises(InputError) as caught:
        find_parquet_files(url)
    return str(caught.value).replace(url, "URL")


def test_the_rows_are_those_of_the_newest_version(tmp_path: Path) -> None:
    url = str(tmp_path / "catalogue")
    write(url, "error", {"a.png": "cat", "b.png": "cat"}).delete("path = 'a.png'")
    write(url, "append", {"c.png": "dog"}).create_checkpoint()
    table, known = open_parquet_table(url, "/images")
    assert known.names == {"path", "label"}
    assert rows(table.files) == [
        {"path": "b.png", "label": "cat"},
        {"path": "c.png", "label": "dog"},
    ]


def test_a_catalogue_may_have_the_prefix_delta(tmp_path: Path) -> None:
    url = str(tmp_path / "catalogue")
    write(url, "error", {"a.png": "cat"})
    plan = plan_listing("/images", f"delta://{url}", ())
    assert (plan.table_url, plan.units.num_rows, plan.has_labels) == (url, 1, True)
    (tmp_path / "catalogue" / "_delta_log").rename(tmp_path / "log")
    with pytest.raises(InputError) as caught:
        plan_listing("/images", f"delta://{url}", ())
    assert str(caught.value) == (
        f"delta://{url}: there is no Delta table (no _delta_log); correct the URL of its folder, "
        "or leave delta:// out if it is a table of another format"
    )


def test_a_partition_by_a_column_of_the_catalogue_is_refused(tmp_path: Path) -> None:
    url = str(tmp_path)
    write(url, "error", {"a.png": "cat"}, partition_by=["label"])
    assert refusal(url) == (
        "URL: is a Delta table that is partitioned by label, so its files do not have that column; "
        "write it without that partition"
    )


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    url = str(tmp_path)
    write(url, "error", {"a.png": "cat"}).delete()
    assert refusal(url) == "URL: the Delta table has no rows in version 1"


def test_a_table_with_deletion_vectors_is_refused(tmp_path: Path) -> None:
    url = str(tmp_path)
    write(url, "error", {"a.png": "cat"})
    (tmp_path / "_delta_log" / f"{1:020d}.json").write_text(
        '{"protocol":{"minReaderVersion":3,"minWriterVersion":7,'
        '"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}'
    )
    assert refusal(url).startswith("URL: is a Delta table with deletionVectors, which Halftone")
