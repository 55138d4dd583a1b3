"""The images of the previous version, read from Parquet files without Spark."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from example_manifest import example
from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile
from halftone.preprocess import previous_version
from halftone.preprocess.changes import KNOWN_IMAGES
from halftone.preprocess.previous_version import EMPTY_VERSION, PreviousVersion
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


def test_a_version_is_read_without_its_pixels(tmp_path: Path, previous_manifest: Manifest) -> None:
    version = previous_version.read_version(str(tmp_path), previous_manifest)
    (first_url, first, rows), (second_url, second, others) = version.shards
    assert (first_url, second_url) == (f"{tmp_path}/train/a.parquet", f"{tmp_path}/test/b.parquet")
    assert [first, second] == previous_manifest.files
    assert rows.to_pydict() == {
        "key": ["/i/1", "/i/2"],
        "label": ["cat", "cat"],
        "source_bytes": [100, 7],
        "source_modified": [1.5, 1.5],
        "source_digest": [digest("/i/1"), digest("/i/2")],
        "perceptual_hash": [-7, -7],
        "row": [0, 1],
    }
    assert others["key"].to_pylist() == ["/i/3"]
    assert (version.rejects, version.duplicates) == (REJECTS, DUPLICATES)
    assert version.inputs == 5


def test_digests_of_a_fixed_size_which_older_versions_wrote_are_read(
    tmp_path: Path, previous_manifest: Manifest
) -> None:
    expected = previous_version.read_version(str(tmp_path), previous_manifest)
    for path, name in (("train/a.parquet", "source_digest"), ("duplicates/a.parquet", "digest")):
        rows = storage.read_table(str(tmp_path / path))
        old = pa.array(rows[name].to_pylist(), pa.binary(16))
        column = rows.schema.get_field_index(name)
        storage.write_table(str(tmp_path / path), rows.set_column(column, name, old))
    version = previous_version.read_version(str(tmp_path), previous_manifest)
    assert version.duplicates == expected.duplicates
    assert [rows for *_, rows in version.shards] == [rows for *_, rows in expected.shards]


def test_rows_rejects_and_duplicates_are_known_images(
    tmp_path: Path, previous_manifest: Manifest
) -> None:
    known = previous_version.known_images(
        previous_version.read_version(str(tmp_path), previous_manifest)
    )
    assert known.schema == KNOWN_IMAGES
    assert list(arrow.iter_rows(known, *KNOWN_IMAGES.names)) == [
        ("/i/1", 100, 1.5, "cat", 0, "row", ""),
        ("/i/2", 7, 1.5, "cat", 0, "row", ""),
        ("/i/3", 100, 1.5, "dog", 2, "row", ""),
        ("/i/bad", 5, 2.5, "", -1, "truncated", ""),
        ("/i/copy", 100, 3.5, "cat", -1, "duplicate", "/i/1"),
    ]


def test_an_empty_version_has_no_images() -> None:
    assert EMPTY_VERSION.inputs == 0
    assert previous_version.known_images(EMPTY_VERSION).num_rows == 0
    assert (
        previous_version.exclude_images(EMPTY_VERSION, arrow.chunked_string_array(["/i/1"]))
        == EMPTY_VERSION
    )


def keys_of(version: PreviousVersion) -> list[list[str]]:
    shard_keys = [table["key"] for *_, table in version.shards]
    columns = [*shard_keys, version.rejects["path"], version.duplicates["path"]]
    return [column.to_pylist() for column in columns]


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ("", [["/i/1", "/i/2"], ["/i/3"], ["/i/bad"], ["/i/copy"]]),
        ("/i/1", [["/i/2"], ["/i/3"], ["/i/bad"], ["/i/copy"]]),
        ("/i/3 /i/unknown", [["/i/1", "/i/2"], [], ["/i/bad"], ["/i/copy"]]),
        ("/i/bad /i/copy", [["/i/1", "/i/2"], ["/i/3"], [], []]),
    ],
)
def test_images_are_excluded_by_their_keys(
    tmp_path: Path, previous_manifest: Manifest, excluded: str, expected: list[list[str]]
) -> None:
    before = previous_version.read_version(str(tmp_path), previous_manifest)
    keys = arrow.chunked_string_array(excluded.split())
    retained = previous_version.exclude_images(before, keys)
    assert keys_of(retained) == expected
    assert retained.inputs == sum(map(len, expected))


def test_the_retained_rows_of_a_shard_keep_their_numbers(
    tmp_path: Path, previous_manifest: Manifest
) -> None:
    before = previous_version.read_version(str(tmp_path), previous_manifest)
    (_, shard, rows), _ = previous_version.exclude_images(
        before, arrow.chunked_string_array(["/i/1"])
    ).shards
    assert rows["row"].to_pylist() == [1]
    assert shard.rows == 2


def test_rows_are_numbered_from_0() -> None:
    numbered = previous_version.add_row_numbers(pa.table({"key": ["a", "b", "c"]}))
    assert numbered.to_pydict() == {"key": ["a", "b", "c"], "row": [0, 1, 2]}
