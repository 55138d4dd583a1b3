"""The images of a folder or of a table, before each has its label and split."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.arrow import Column
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.storage import FileInfo

# The size of a file if the table has no column for it. A change of the file is then not detected.
UNKNOWN_BYTES = -1

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


class Listing(NamedTuple):
    """The images of a folder or a table."""

    files: pa.Table  # FILES
    has_labels: bool  # whether the source has a column of labels
    ignored: dict[str, int]  # number of files that are no images, by the ending of their names
    non_utf8_files: list[FileInfo]  # images that no string column can name


def fill_columns(source: str, table: pa.Table) -> pa.Table:
    """Return FILES with the columns that the table has, and default values in the others."""
    return pa.table([_column_or_default(source, table, field) for field in FILES], schema=FILES)


def _column_or_default(source: str, table: pa.Table, field: pa.Field) -> Column:
    default = _DEFAULTS[field.type]
    if field.name not in table.column_names:
        return arrow.repeat_value(default, table.num_rows)
    try:
        # A column of integers with missing values may have been written as floats.
        return pc.fill_null(pc.cast(table[field.name], field.type, safe=False), default[0])
    except pa.ArrowException as error:
        raise InputError(f"{source}: column {field.name} must be {field.type}: {error}") from None
