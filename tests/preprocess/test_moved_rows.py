"""Rows that get another label or split, copied into parts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.manifest import ShardFile
from halftone.preprocess import moved_rows
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.decode_block import PART, StagedPart
from halftone.preprocess.previous_version import VersionFile
from halftone.preprocess.row_notes import ROW_NOTES
from tables import digest, table


def write_shard(folder: Path, index: int, *keys: str) -> VersionFile:
    """Write a shard whose digests have a fixed size, as an older Halftone does."""
    rows = table(
        schema.ROWS,
        *((key, "cat", 0, key.encode(), 5, 6, 100, 1.5, digest(key), -7) for key in keys),
    )
    column = rows.schema.get_field_index("source_digest")
    old = pa.array(rows["source_digest"].to_pylist(), pa.binary(16))
    url = str(folder / f"{index}.parquet")
    size = storage.write_table(url, rows.set_column(column, "source_digest", old))
    shard = ShardFile(path="p", split="train", rows=len(keys), size_bytes=size, digest="d")
    return VersionFile(index, url, "rows", "train", shard)


def write_notes(folder: Path, index: int, *notes: tuple[int, str, str, int]) -> NoteCounts:
    url = str(folder / "notes" / f"{index}.parquet")
    storage.write_table(url, table(ROW_NOTES, *notes))
    texts = [note for _, note, *_ in notes]
    return NoteCounts(url, *map(texts.count, ("dropped", "moved", "gone")))


def test_a_shard_with_moved_rows_has_a_part(spark: SparkSession, tmp_path: Path) -> None:
    files = [
        write_shard(tmp_path, 0, "a", "b", "c", "d"),
        write_shard(tmp_path, 1, "e"),
        write_shard(tmp_path, 2, "f", "g"),
        VersionFile(3, "no such file", "rejects", "", None),
    ]
    notes = {
        0: write_notes(
            tmp_path,
            0,
            (0, "moved", "dog", 0),
            (1, "dropped", "", -1),
            (2, "gone", "", -1),
            (3, "moved", "cat", 2),
        ),
        2: write_notes(tmp_path, 2, (1, "moved", "ant", 2)),
        3: NoteCounts("no such file", 1, 0, 0),
    }
    folder = str(tmp_path / "moved")
    parts = moved_rows.stage_moved_rows(spark, files, notes, folder)
    assert parts == [
        StagedPart(f"{folder}/part-000000.parquet", 2, {"train": 1, "test": 1}),
        StagedPart(f"{folder}/part-000002.parquet", 1, {"test": 1}),
    ]
    tables = [storage.read_table(part.url) for part in parts]
    assert [table.schema for table in tables] == [PART, PART]
    assert [list(arrow.iter_rows(table, *PART.names)) for table in tables] == [
        [
            ("a", "dog", 0, "ok", "", b"a", 5, 6, 100, 1.5, digest("a"), -7),
            ("d", "cat", 2, "ok", "", b"d", 5, 6, 100, 1.5, digest("d"), -7),
        ],
        [("g", "ant", 2, "ok", "", b"g", 5, 6, 100, 1.5, digest("g"), -7)],
    ]


def test_a_part_that_exists_is_not_written_again(tmp_path: Path) -> None:
    part = tmp_path / "part.parquet"
    part.write_bytes(b"written")
    notes = write_notes(tmp_path, 0, (0, "moved", "dog", 0), (2, "moved", "dog", 2))
    rows = list(moved_rows.copy_rows("no such shard", notes.url, str(part)))
    assert rows == [(str(part), [1, 0, 1])]
    assert part.read_bytes() == b"written"


def test_without_moved_rows_there_are_no_parts(spark: SparkSession, tmp_path: Path) -> None:
    file = write_shard(tmp_path, 0, "a")
    assert moved_rows.stage_moved_rows(spark, [file], {}, str(tmp_path / "moved")) == []
    counts = write_notes(tmp_path, 0, (0, "gone", "", -1))
    assert moved_rows.stage_moved_rows(spark, [file], {0: counts}, str(tmp_path / "moved")) == []
    assert not (tmp_path / "moved").exists()
