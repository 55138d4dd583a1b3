"""The rows of a listing: one for each image of a folder or of a table."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.arrow import Column
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing.boxes import BOX_COLUMNS, apply_boxes
from halftone.listing.corrections import CORRECTION_COLUMNS, apply_corrections

# The size of a file if the table has no column for it. A change of the file is then not detected.
UNKNOWN_BYTES = -1

UNREADABLE = "unreadable"  # the reason of the rejection of a file that cannot be read

UNLABELLED = "unlabelled"  # the same of an image without a label

GROUP = "group"  # name of the column with the groups that must not be split
REASON = "reason"
DETAIL = "detail"
MEMBER_PLACE = "member_place"

# The columns that a table of images may have.
TABLE_COLUMNS = pa.schema(
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
LISTED = pa.schema(
    [
        *TABLE_COLUMNS,
        pa.field(REASON, pa.string()),  # UNREADABLE, as the listing shows, or the empty string
        pa.field(DETAIL, pa.string()),  # why it is unreadable
        pa.field(MEMBER_PLACE, pa.string()),  # of a member of an archive, see MemberPlace, or ""
    ]
)
_DEFAULTS = {
    pa.string(): arrow.string_array([""]),
    pa.int64(): arrow.number_array([UNKNOWN_BYTES], pa.int64()),
    pa.float64(): arrow.number_array([0.0], pa.float64()),
}
# The text that stands for an empty cell of a text file, by the name of its column.
EMPTY_TEXTS = {
    **dict.fromkeys(CORRECTION_COLUMNS | BOX_COLUMNS, ""),
    **{field.name: str(_DEFAULTS[field.type][0].as_py()) for field in TABLE_COLUMNS},
}


def fill_columns(source: str, table: pa.Table) -> pa.Table:
    """Return LISTED with the columns that the table has, and default values in the others.

    Raises:
        InputError: a column cannot be converted to its type, or as `apply_corrections` and
            `apply_boxes`.
    """
    table = apply_boxes(source, apply_corrections(source, table))
    columns = [_column_or_default(source, table, field) for field in LISTED]
    return pa.table(columns, schema=LISTED)


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
