"""The images of a folder or of a table, before each has its label and split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.arrow import Column
from halftone.dataset import schema
from halftone.errors import InputError

# The size of a file if the table has no column for it. A change of the file is then not detected.
UNKNOWN_BYTES = -1

UNREADABLE = "unreadable"  # the reason of the rejection of a file that cannot be read

GROUP = "group"  # name of the column with the groups that must not be split

FILES = pa.schema(
    [
        pa.field(schema.PATH, pa.string()),  # below the folder of images
        # Label, group and split are the empty string if the listing does not have them.
        pa.field(schema.LABEL, pa.string()),
        pa.field(GROUP, pa.string()),
        pa.field(schema.SPLIT, pa.string()),  # a name as the data set spells it
        pa.field(schema.SIZE_BYTES, pa.int64()),  # or UNKNOWN_BYTES
        pa.field(schema.MODIFIED, pa.float64()),  # seconds since 1970; 0 if it is not known
    ]
)
_DEFAULTS = {
    pa.string(): arrow.string_array([""]),
    pa.int64(): arrow.number_array([UNKNOWN_BYTES], pa.int64()),
    pa.float64(): arrow.number_array([0.0], pa.float64()),
}


# The text that stands for an empty cell of a text file, by the name of its column.
EMPTY_TEXTS = {field.name: str(_DEFAULTS[field.type][0].as_py()) for field in FILES}


class UnusableImage(NamedTuple):
    """A listed image that is rejected without being read."""

    path: str  # below the folder of images
    reason: str
    detail: str
    size_bytes: int
    modified: float


class Listing(NamedTuple):
    """The images of a folder or a table."""

    files: pa.Table  # FILES
    has_labels: bool  # whether the source has a column of labels
    ignored: dict[str, int]  # number of files that are no images, by their ending or kind
    unreadable: list[UnusableImage]  # those that cannot be read, as the listing shows
    # Of a table: which of the columns label, group and split decide, and the names of columns that
    # have no meaning.
    used_columns: tuple[str, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what the user should know before the work begins


def fill_columns(source: str, table: pa.Table) -> pa.Table:
    """Return FILES with the columns that the table has, and default values in the others."""
    return pa.table([_column_or_default(source, table, field) for field in FILES], schema=FILES)


def _column_or_default(source: str, table: pa.Table, field: pa.Field) -> Column:
    default = _DEFAULTS[field.type]
    if field.name not in table.column_names:
        return arrow.repeat_value(default, table.num_rows)
    try:
        column = table[field.name]
        # Integers with missing values may have been written as floats.
        if field.type == pa.int64() and column.type == pa.string():
            column = pc.cast(column, pa.float64())
        return pc.fill_null(pc.cast(column, field.type, safe=False), default[0])
    except pa.ArrowException as error:
        raise InputError(f"{source}: column {field.name} must be {field.type}: {error}") from None


def reject_table(root: str, unusable_images: Sequence[UnusableImage]) -> pa.Table:
    """Return schema.REJECTS of images below `root` that are rejected without being read."""
    rows = [(storage.join(root, image.path), *image[1:]) for image in unusable_images]
    columns = zip(*rows) if rows else repeat((), len(schema.REJECTS))
    return pa.table(
        [arrow.make_array(values, field.type) for values, field in zip(columns, schema.REJECTS)],
        schema=schema.REJECTS,
    )
