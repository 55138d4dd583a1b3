"""The images that may become rows of the next version, and the files that hold them.

The files are shards and tables of duplicates of the previous version, and staged parts. None is
changed: row_notes says which of their rows are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.preprocess import row_notes
from halftone.preprocess.decode_block import STATUS, is_decoded
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.frames import MAX_READ_TASKS, Frame, build_table, create_frame

# The kinds of source files, by age: of several images with the same bytes, the first in this order
# is kept.
MOVED, ROWS, DUPLICATES, NEW = range(4)
CHANGED_KINDS = (MOVED, NEW)
SOURCE, KIND, GONE = "source", "kind", "gone"
_FILES_PER_TASK = 8


class SourceFile(NamedTuple):
    """A file whose rows may become rows of the next version, or of its table of duplicates."""

    url: str
    kind: int  # MOVED, ROWS, DUPLICATES or NEW
    num_rows: dict[str, int]  # decoded images by split, without those that notes leave out
    notes: tuple[str, ...] = ()  # URLs of files of row_notes.ROW_NOTES
    shard: Optional[ShardFile] = None  # if kind is ROWS

    @property
    def num_candidates(self) -> int:
        return sum(self.num_rows.values())

    def to_row(self, number: int) -> tuple[int, str, int, int, list[str]]:
        """Return the values of SOURCES.

        Args:
            number: index in the list of source files.
        """
        split_id = SPLITS.index(self.shard.split) if self.shard else -1
        return number, self.url, self.kind, split_id, list(self.notes)


SOURCES = pa.schema(
    [
        pa.field(SOURCE, pa.int32()),  # index in the list of source files
        pa.field("url", pa.string()),
        pa.field(KIND, pa.int8()),
        pa.field(schema.SPLIT, pa.int8()),  # of a shard; -1 if each row has its own, or none
        pa.field("notes", pa.list_(pa.string())),
    ]
)
CANDIDATES = pa.schema(
    [
        pa.field(schema.DIGEST, pa.binary()),
        pa.field(KIND, pa.int8()),
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),  # -1 of a duplicate
        pa.field(schema.SIZE_BYTES, pa.int64()),
        pa.field(schema.MODIFIED, pa.float64()),
        pa.field(schema.PERCEPTUAL_HASH, pa.int64()),  # a duplicate has none
        pa.field(SOURCE, pa.int32()),
        pa.field(ROW_NUMBER, pa.int64()),  # in the source file
        pa.field(GONE, pa.int8()),  # 1 if the image file no longer exists
    ]
)
# The same columns in files of rows and in tables of duplicates.
_ROW_COLUMNS = {
    schema.DIGEST: schema.SOURCE_DIGEST,
    schema.KEY: schema.KEY,
    schema.LABEL: schema.LABEL,
    schema.SIZE_BYTES: schema.SOURCE_BYTES,
    schema.MODIFIED: schema.SOURCE_MODIFIED,
    schema.PERCEPTUAL_HASH: schema.PERCEPTUAL_HASH,
}
_DUPLICATE_COLUMNS = {
    schema.DIGEST: schema.DIGEST,
    schema.KEY: schema.PATH,
    schema.LABEL: schema.LABEL,
    schema.SIZE_BYTES: schema.SIZE_BYTES,
    schema.MODIFIED: schema.MODIFIED,
}


def source_frame(session: Optional[SparkSession], sources: Sequence[SourceFile]) -> Frame:
    """Return a row of SOURCES for each file that has candidates; see `create_frame`."""
    table = source_table(sources)
    num_tasks = min(MAX_READ_TASKS, -(-table.num_rows // _FILES_PER_TASK))
    return create_frame(session, table, num_tasks)


def source_table(sources: Sequence[SourceFile]) -> pa.Table:
    """Return a row of SOURCES for each file that has candidates."""
    rows = [source.to_row(number) for number, source in enumerate(sources) if source.num_candidates]
    return build_table(rows, SOURCES)


def read_source(
    result: pa.Schema, source: int, url: str, kind: int, split: int, notes: Sequence[str]
) -> Iterator[pa.Table]:
    """Yield the decoded images of a source file that its notes do not leave out.

    Args:
        result: some fields of CANDIDATES.
        source, url, kind, split, notes: a row of SOURCES.
    """
    names = _DUPLICATE_COLUMNS if kind == DUPLICATES else _ROW_COLUMNS
    names = {name: column for name, column in names.items() if name in result.names}
    read = [*names.values(), *([STATUS, schema.SPLIT] if kind in CHANGED_KINDS else [])]
    table = storage.read_table(url, read)
    num_rows = table.num_rows
    mask = row_notes.keep_mask(num_rows, notes)
    if kind in CHANGED_KINDS:
        mask &= is_decoded(table)
        splits = table[schema.SPLIT]
    else:
        splits = arrow.repeat_value(arrow.number_array([split], pa.int8()), num_rows)
    columns = {
        **{name: table[column] for name, column in names.items()},
        KIND: arrow.repeat_value(arrow.number_array([kind], pa.int8()), num_rows),
        schema.SPLIT: splits,
        SOURCE: arrow.repeat_value(arrow.number_array([source], pa.int32()), num_rows),
        ROW_NUMBER: arrow.number_array(np.arange(num_rows), pa.int64()),
    }
    if GONE in result.names:
        gone = np.zeros(num_rows, np.int8)
        gone[arrow.to_numpy(row_notes.read_notes(notes, row_notes.GONE)[ROW_NUMBER])] = 1
        columns[GONE] = arrow.number_array(gone, pa.int8())
    candidates = pa.table([columns[name] for name in result.names], names=result.names)
    yield arrow.filter_rows(arrow.conform(candidates, result), mask)
