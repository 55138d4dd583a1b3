"""Notes on the rows of the previous version's files, written by Spark's workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess.change_files import CHANGES, read_changes
from halftone.preprocess.comparison import CHANGE
from halftone.preprocess.entries import FILE, NO_SPLIT
from halftone.preprocess.row_notes import DROPPED, GONE, MOVED, NOTE, ROW_NOTES, ROW_NUMBER
from halftone.spark.frames import build_table

# Notes of several files, on their way to the worker that writes them.
FILE_NOTES = pa.schema([pa.field(FILE, pa.int32()), *ROW_NOTES])
NOTE_COUNTS = pa.schema(
    [
        pa.field(FILE, pa.int32()),
        pa.field("url", pa.string()),
        pa.field("num_dropped", pa.int64()),
        pa.field("num_moved", pa.int64()),
        pa.field("num_gone", pa.int64()),
    ]
)
_EMPTY, _NO_SPLIT = arrow.string_array([""]), arrow.number_array([NO_SPLIT], pa.int8())


class NoteCounts(NamedTuple):
    """The ROW_NOTES of a file of the previous version."""

    url: str
    num_dropped: int
    num_moved: int
    num_gone: int


def find_notes(notes: Mapping[str, str], tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the FILE_NOTES of images that have changed.

    Args:
        notes: by change.
        tables: URLS of files of CHANGES.
    """
    for images in read_changes(notes, CHANGES.names, tables):
        for note in (DROPPED, MOVED, GONE):
            changes = arrow.string_array([change for change in notes if notes[change] == note])
            noted = arrow.filter_rows(images, arrow.is_in(images[CHANGE], changes))
            if noted.num_rows:
                yield _build_notes(noted, note)


def _build_notes(images: pa.Table, note: str) -> pa.Table:
    count, is_moved = images.num_rows, note == MOVED
    columns = [
        images[FILE],
        images[ROW_NUMBER],
        arrow.repeat_value(arrow.string_array([note]), count),
        images[schema.LABEL] if is_moved else arrow.repeat_value(_EMPTY, count),
        images[schema.SPLIT] if is_moved else arrow.repeat_value(_NO_SPLIT, count),
    ]
    return pa.table(columns, schema=FILE_NOTES)


def write_notes(folder: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Write the ROW_NOTES of each file into `folder`; yield NOTE_COUNTS.

    Args:
        tables: FILE_NOTES, sorted by file and row, with all notes of each file.
    """
    runs = (run for table in tables for run in arrow.iter_runs(table, FILE))
    for file, parts in groupby(runs, key=itemgetter(0)):
        notes = pa.concat_tables(part for _, part in parts)
        url = storage.join(folder, f"{file:06d}.parquet")
        storage.write_table(url, arrow.conform(notes, ROW_NOTES))
        texts = notes[NOTE].to_pylist()
        yield build_table([(file, url, *map(texts.count, (DROPPED, MOVED, GONE)))], NOTE_COUNTS)
