"""Give rows of the previous version another label or split, with the pixels of its shards.

The rows are copied into staged parts as if their images had been decoded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.splits import SPLITS
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.decode_block import OK, PART, PART_NAME, STATUS, StagedPart
from halftone.preprocess.previous_version import VersionFile
from halftone.preprocess.row_notes import MOVED, ROW_NUMBER, read_notes
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_frame, map_rows

_MOVES = pa.schema(
    [
        pa.field("shard_url", pa.string()),
        pa.field("notes_url", pa.string()),
        pa.field("part_url", pa.string()),
    ]
)
_MOVED = pa.schema(
    [pa.field("part_url", pa.string()), pa.field("rows_by_split", pa.list_(pa.int64()))]
)
_COPIED = pa.schema([field for field in PART if field.name in schema.ROWS.names])


def stage_moved_rows(
    session: SparkSession,
    files: Sequence[VersionFile],
    notes: Mapping[int, NoteCounts],
    folder: str,
) -> list[StagedPart]:
    """Copy the rows that get another label or split into a part for each shard that has some.

    Args:
        files: of the previous version.
        notes: by the index of the file.
        folder: URL of the folder for the parts. A part that exists is not written again.

    Returns:
        The parts in the order of the shards. The rows of each are in the order of the shard.

    Raises:
        RunError: a Spark task failed.
    """
    moves = [
        (file.url, notes[file.index].url, storage.join(folder, _part_name(file.index)))
        for file in files
        if file.index in notes and notes[file.index].num_moved
    ]
    if not moves:
        return []
    num_rows = sum(counts.num_moved for counts in notes.values())
    frame = create_frame(session, build_table(moves, _MOVES), len(moves))
    progress = ActionProgress("move", "copy rows with another label or split", num_rows, "rows")
    rows = collect_rows(map_rows(frame, copy_rows, _MOVED), progress)
    return [
        StagedPart(url, sum(counts), {name: count for name, count in zip(SPLITS, counts) if count})
        for url, counts in sorted(rows)
    ]


def _part_name(index: int) -> str:
    return f"{PART_NAME}{index:06d}.parquet"


def copy_rows(shard_url: str, notes_url: str, part_url: str) -> Iterator[tuple[str, list[int]]]:
    """Write the part of a shard, and count its rows by split.

    A part that exists is not written again.
    """
    moved = read_notes([notes_url], MOVED)
    if not storage.exists(part_url):
        storage.write_table(part_url, _build_part(shard_url, moved))
    counts = np.bincount(arrow.to_numpy(moved[schema.SPLIT]), minlength=len(SPLITS))
    yield part_url, counts.tolist()


def _build_part(shard_url: str, moved: pa.Table) -> pa.Table:
    """Return rows of a shard as a PART.

    Args:
        moved: ROW_NOTES.
    """
    shard = arrow.conform(storage.read_table(shard_url, _COPIED.names), _COPIED)
    rows = arrow.take_rows(shard, arrow.to_numpy(moved[ROW_NUMBER]))
    columns = {
        **{name: rows[name] for name in _COPIED.names},
        schema.LABEL: moved[schema.LABEL],
        schema.SPLIT: moved[schema.SPLIT],
        STATUS: arrow.repeat_value(arrow.string_array([OK]), rows.num_rows),
        schema.DETAIL: arrow.repeat_value(arrow.string_array([""]), rows.num_rows),
    }
    return pa.table([columns[name] for name in PART.names], schema=PART)
