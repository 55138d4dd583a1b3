"""Corrections in a table of images: a suggested label, and whether a person accepts it.

The job `label_errors` writes such a table, and a person edits it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.dataset import schema
from halftone.errors import InputError

SUGGESTED_LABEL, ACCEPT = "suggested_label", "accept"
# A table has corrections if it has all of these columns.
CORRECTION_COLUMNS = frozenset({schema.LABEL, SUGGESTED_LABEL, ACCEPT})
_YES, _NO = {"yes", "true"}, {"no", "false", ""}


def apply_corrections(source: str, table: pa.Table) -> pa.Table:
    """Return a table with the suggested label where it is accepted; others are unchanged.

    Args:
        source: URL of the table, for errors.
        table: some columns of a table of images, with their names in the listing.

    Raises:
        InputError: a cell of the column `accept` is not yes, no or empty, or a label is accepted
            and missing.
    """
    if not {*table.column_names} >= CORRECTION_COLUMNS:
        return table
    paths, labels, suggested, answers = (
        pc.fill_null(pc.cast(table[name], pa.string()), "").to_pylist()
        for name in (schema.PATH, schema.LABEL, SUGGESTED_LABEL, ACCEPT)
    )
    corrected = []
    for path, label, other, answer in zip(paths, labels, suggested, answers):
        word = answer.strip().casefold()
        if word not in _YES | _NO:
            raise InputError(
                f"{source}: {ACCEPT} of {path} is {answer!r}; it must be yes, no or empty"
            )
        if word in _YES and not other.strip():
            raise InputError(
                f"{source}: {ACCEPT} of {path} is {answer!r}, but its {SUGGESTED_LABEL} is empty; "
                f"write the label there, or remove {answer!r}"
            )
        corrected.append(other if word in _YES else label)
    index = table.column_names.index(schema.LABEL)
    return table.set_column(index, schema.LABEL, arrow.chunked_string_array(corrected))
