"""The images of the previous version, read from its Parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from example_manifest import example
from halftone import storage
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile
from halftone.preprocess import previous_version
from halftone.preprocess.entries import KNOWN
from halftone.preprocess.previous_version import VersionFile
from tables import digest, table


def row(key: str, label: str = "cat", size_bytes: int = 100) -> tuple[object, ...]:
    """A row of a shard, of an image of 2 x 1 px."""
    return (key, label, 0, b"\1\2", 1, 2, size_bytes, 1.5, digest(key), -7)


SHARDS = {
    "train/a.parquet": table(schema.ROWS, row("/i/1"), row("/i/2", size_bytes=7)),
    "test/b.parquet": table(schema.ROWS, row("/i/3", "dog")),
}
REJECTS = table(schema.REJECTS, ("/i/bad", "truncated", "cut", 5, 2.5))
DUPLICATES = table(schema.DUPLICATES, ("/i/copy", "/i/1", 100, 3.5, "cat", digest("/i/1")))
KNOWN_ROWS = [
    ("/i/1", 100, 1.5, "cat", 0, "row", "", 0, 0),
    ("/i/2", 7, 1.5, "cat", 0, "row", "", 0, 1),
    ("/i/3", 100, 1.5, "dog", 2, "row", "", 1, 0),
    ("/i/bad", 5, 2.5, "", -1, "truncated", "", 2, 0),
    ("/i/copy", 100, 3.5, "cat", -1, "duplicate", "/i/1", 3, 0),
]


@pytest.fixture
def previous_manifest(tmp_path: Path) -> Manifest:
    """A dataset of three rows, a reject and a duplicate at tmp_path."""
    files = []
    for path, rows in SHARDS.items():
        size = storage.write_table(str(tmp_path / path), rows)
        split = path.partition("/")[0]
        files.append(
            ShardFile(path=path, split=split, rows=rows.num_rows, size_bytes=size, digest="d")
        )
    storage.write_table(str(tmp_path / "rejects/a.parquet"), REJECTS)
    storage.write_table(str(tmp_path / "duplicates/a.parquet"), DUPLICATES)
    update = {
        "files": files,
        "rejects_files": ["rejects/a.parquet"],
        "duplicates_files": ["duplicates/a.parquet"],
    }
    return example().model_copy(update=update)


def test_files_are_numbered_by_kind(tmp_path: Path, previous_manifest: Manifest) -> None:
    first, second = previous_manifest.files
    assert previous_version.list_files(str(tmp_path), previous_manifest) == [
        VersionFile(0, f"{tmp_path}/train/a.parquet", "rows", "train", first),
        VersionFile(1, f"{tmp_path}/test/b.parquet", "rows", "test", second),
        VersionFile(2, f"{tmp_path}/rejects/a.parquet", "rejects", "", None),
        VersionFile(3, f"{tmp_path}/duplicates/a.parquet", "duplicates", "", None),
    ]


def test_rows_rejects_and_duplicates_are_known_images(
    spark: SparkSession, tmp_path: Path, previous_manifest: Manifest
) -> None:
    files = previous_version.list_files(str(tmp_path), previous_manifest)
    known = previous_version.read_known(spark, files)
    assert known.columns == KNOWN.names
    assert sorted(map(tuple, known.collect())) == KNOWN_ROWS


def test_no_files_have_no_images(spark: SparkSession) -> None:
    assert previous_version.read_known(spark, []).collect() == []


def read_files(dataset: Path, manifest: Manifest) -> list[pa.Table]:
    files = previous_version.list_files(str(dataset), manifest)
    names = ("train", "validation", "test", "")
    rows = [(file.index, file.url, file.kind, names.index(file.split)) for file in files]
    return list(previous_version.read_files([table(previous_version.FILES, *rows)]))


def test_digests_of_a_fixed_size_and_texts_of_other_types_are_read(
    tmp_path: Path, previous_manifest: Manifest
) -> None:
    expected = read_files(tmp_path, previous_manifest)
    assert [table.schema for table in expected] == [KNOWN] * 4
    for path, name, kind in (
        ("train/a.parquet", "source_digest", pa.binary(16)),
        ("duplicates/a.parquet", "digest", pa.binary(16)),
        ("test/b.parquet", "label", pa.large_string()),
    ):
        rows = storage.read_table(str(tmp_path / path))
        old = pa.array(rows[name].to_pylist(), kind)
        column = rows.schema.get_field_index(name)
        storage.write_table(str(tmp_path / path), rows.set_column(column, name, old))
    assert read_files(tmp_path, previous_manifest) == expected


def test_more_files_than_threads_are_read_in_order(
    tmp_path: Path, previous_manifest: Manifest
) -> None:
    many = previous_manifest.model_copy(update={"rejects_files": ["rejects/a.parquet"] * 20})
    tables = read_files(tmp_path, many)
    assert [table["file"][0].as_py() for table in tables] == list(range(23))


def test_pixels_are_not_read(
    tmp_path: Path, previous_manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[list[str]] = []
    read_table = storage.read_table

    def read(url: str, columns: list[str]) -> pa.Table:
        names.append(columns)
        return read_table(url, columns)

    monkeypatch.setattr(storage, "read_table", read)
    read_files(tmp_path, previous_manifest)
    assert sorted(names)[1] == ["key", "source_bytes", "source_modified", "label"]
    assert not any("image" in columns for columns in names)
