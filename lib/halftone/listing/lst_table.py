"""A `.lst` file of SageMaker and MXNet: index, label and path of an image, with tabs between."""

from __future__ import annotations

import math
from typing import NamedTuple

from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing.line_table import LineError, LineTable, read_sample, table_size
from halftone.listing.table_columns import KnownColumns

ENDING = ".lst"
_LINE = "index, label and path with tabs between them"


class LstLine(NamedTuple):
    """The format of a line. The index only says in which order the images were."""

    columns: tuple[str, ...] = (schema.PATH, schema.LABEL)

    def parse(self, text: str) -> list[list[str]]:
        cells = text.split("\t")
        if len(cells) < 3:
            raise LineError(f"has {len(cells)} cells, {text[:60]!r}; it must be {_LINE}")
        if len(cells) > 3:
            raise LineError(
                f"has {len(cells) - 2} labels; an image must have one. It must be {_LINE}"
            )
        index, label, path = cells
        if not index.strip().isdecimal():
            raise LineError(f"has the index {index!r}, not a whole number; it must be {_LINE}")
        if not path:
            raise LineError("has no path")
        return [[path, _format_label(label.strip())]]


def _format_label(text: str) -> str:
    """Return a label as a whole number: im2rec of MXNet writes 3 as 3.000000."""
    if not text:
        return ""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number.is_integer():  # nor a number without a value
        raise LineError(f"has the label {text!r}; it must be a whole number, the index of a class")
    return str(int(number))


def open_lst(url: str, root: str) -> tuple[LineTable, KnownColumns]:
    """Open a `.lst` file.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is empty.
    """
    table = LineTable(url, root, table_size(url), LstLine())
    if not read_sample(url):
        raise InputError(f"{url}: names no images")
    return table, KnownColumns({1: schema.LABEL, 2: schema.PATH}, [])
