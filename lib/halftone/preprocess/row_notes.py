"""Notes on single rows of files: which of them the next version leaves out, and why.

A file of a dataset or a staged part is never changed. What a run decides about some of its rows is
a small file of its own, so no process holds the decisions about all rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema

ROW_NUMBER = "row"  # the number of a row in its file, from 0
NOTE = "note"
DROPPED = "dropped"  # the row is left out
MOVED = "moved"  # the row is left out here; a staged part has it with another label or split
GONE = "gone"  # the image file of the row no longer exists; the row stays

ROW_NOTES = pa.schema(
    [
        pa.field(ROW_NUMBER, pa.int64()),
        pa.field(NOTE, pa.string()),
        pa.field(schema.LABEL, pa.string()),  # of a moved row: the new ones; else ""
        pa.field(schema.SPLIT, pa.int8()),  # index in splits.SPLITS; else -1
    ]
)


def read_notes(urls: Iterable[str], *notes: str) -> pa.Table:
    """Return the rows of ROW_NOTES in some files that have one of these notes."""
    table = arrow.concat_tables(map(storage.read_table, urls), ROW_NOTES)
    return arrow.filter_rows(table, arrow.is_in(table[NOTE], arrow.string_array(notes)))


def keep_mask(num_rows: int, urls: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return for each row of a file whether it stays.

    Args:
        urls: of the ROW_NOTES of that file.
    """
    mask = np.ones(num_rows, bool)
    mask[arrow.to_numpy(read_notes(urls, DROPPED, MOVED)[ROW_NUMBER])] = False
    return mask
