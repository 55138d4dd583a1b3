"""The columns x, y, width and height of a table of images: a row is a part of its image."""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.image_boxes import ImageBox

X, Y, WIDTH, HEIGHT = "x", "y", "width", "height"
# A table has boxes if it has all of these columns.
BOX_COLUMNS = frozenset({X, Y, WIDTH, HEIGHT})
_MAX_PX = 10**9 - 1
# A box of COCO such as 0.1 + 0.2 must not reach into the next pixel.
_TOLERANCE_PX = 1e-3


def apply_boxes(source: str, table: pa.Table) -> pa.Table:
    """Return a table whose paths have the boxes of their rows; others are unchanged.

    Args:
        source: URL of the table, for errors.
        table: some columns of a table of images, with their names in the listing.

    Raises:
        InputError: a row has a part of a box only, or one that is none.
    """
    if not {*table.column_names} >= BOX_COLUMNS:
        return table
    columns = [
        pc.fill_null(pc.cast(table[name], pa.string()), "").to_pylist()
        for name in (schema.PATH, X, Y, WIDTH, HEIGHT)
    ]
    paths = [
        f"{path}{_fragment(source, path, edges)}" if path else path
        for path, *edges in zip(*columns)
    ]
    index = table.column_names.index(schema.PATH)
    return table.set_column(index, schema.PATH, arrow.chunked_string_array(paths))


def _fragment(source: str, path: str, cells: list[str]) -> str:
    """Return the end of a path with a box; empty if the row has none."""
    if not any(cells):
        return ""
    try:
        return round_outward(*map(float, cells)).fragment()
    except ValueError as error:
        names = (X, Y, WIDTH, HEIGHT)
        box = ", ".join(f"{name} {cell or 'missing'}" for name, cell in zip(names, cells))
        raise InputError(
            f"{source}: {path} has the box {box}, which is none ({error}); give numbers of px, or "
            "leave all four empty for the whole image"
        ) from None


def round_outward(x: float, y: float, width: float, height: float) -> ImageBox:
    """Return the smallest box of whole px that contains one.

    Raises:
        ValueError: it has no area, begins before the image, or is not finite.
    """
    if not all(map(math.isfinite, (x, y, width, height))) or max(x + width, y + height) > _MAX_PX:
        raise ValueError("a number is too large")
    left, top = (math.floor(start + _TOLERANCE_PX) for start in (x, y))
    right, bottom = (math.ceil(end - _TOLERANCE_PX) for end in (x + width, y + height))
    if left < 0 or top < 0:
        raise ValueError("x and y must not be negative")
    if width <= 0 or height <= 0 or right <= left or bottom <= top:
        raise ValueError("width and height must be greater than 0")
    return ImageBox(left, top, right - left, bottom - top)
