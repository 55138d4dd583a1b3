"""Draw groups of pictures on one sheet, such as a dataset's classes or its rejects by reason.

The sheet is a PNG; the same pictures and titles give the same bytes. Each group has a title with
the number of its pictures, and the pictures below it in rows of equal cells.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]  # (H, W, 1 or 3), grey or RGB
PictureGroup = tuple[str, Sequence[Picture]]

_MARGIN_PX = 16  # around the sheet and between groups
_GAP_PX = 6  # between cells
_TITLE_PX = 30  # height of the line of a title
_FONT_PX = 18
_COUNT_GAP_PX = 10
_TITLE_CHARS = 500  # more fit on no sheet

_FONT_CHARS = frozenset("·…‘’“”«»‹›°±©™")  # besides ASCII

_BACKGROUND = (244, 244, 241)
_FRAME = (205, 205, 200)  # one pixel around each picture, so that white pictures have an edge
_TITLE_COLOUR = (28, 31, 35)
_COUNT_COLOUR = (95, 102, 110)


def draw_contact_sheet(
    groups: Sequence[PictureGroup], columns: int = 12, cell_px: int = 96
) -> bytes:
    """Draw the title, count and pictures of each group in order; return the bytes of a PNG.

    Titles are drawn with Pillow's own font, the only one that every machine has. It covers little
    beyond ASCII: accents are removed and other letters are written as Python escapes (\\u732b). A
    title that is too long ends in "…".

    Args:
        groups: titles, each with its pictures: (H, W, 1 or 3) uint8, grey or RGB, of any sizes.
        columns: cells in a row, which sets the sheet's width.
        cell_px: side of a cell. A larger picture is reduced to fit. A smaller one is enlarged by
            the largest integer factor that fits, with sharp square pixels. If no picture fills its
            cell, all cells shrink to the size of the largest picture.

    Raises:
        ValueError: columns or cell_px below 1, or a picture of another shape or type.
    """
    if columns < 1 or cell_px < 1:
        raise ValueError(f"columns is {columns} and cell_px is {cell_px}; both must be >= 1")
    _check_pictures(groups)
    fitted_groups = [
        (title, [_fit_to_cell(pixels, cell_px) for pixels in pictures])
        for title, pictures in groups
    ]
    # Pictures of 64 px are not enlarged in cells of 96 px; smaller cells leave no empty border.
    sides_px = (max(image.size) for _, images in fitted_groups for image in images)
    cell_px = max(sides_px, default=cell_px)
    heights_px = [_height_px(len(images), columns, cell_px) for _, images in fitted_groups]
    size = (_MARGIN_PX * 2 + _cells_length_px(columns, cell_px), _MARGIN_PX + sum(heights_px))
    sheet = Image.new("RGB", size, _BACKGROUND)
    top = _MARGIN_PX
    for (title, images), height_px in zip(fitted_groups, heights_px):
        _write_title(sheet, top, title, len(images))
        for number, image in enumerate(images):
            row, column = divmod(number, columns)
            cell_left = _MARGIN_PX + column * (cell_px + _GAP_PX)
            cell_top = top + _TITLE_PX + row * (cell_px + _GAP_PX)
            _paste_picture(sheet, cell_left, cell_top, image, cell_px)
        top += height_px
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _check_pictures(groups: Sequence[PictureGroup]) -> None:
    for title, pictures in groups:
        for number, pixels in enumerate(pictures):
            shape = pixels.shape
            if len(shape) != 3 or shape[2] not in (1, 3) or 0 in shape or pixels.dtype != np.uint8:
                raise ValueError(
                    f"picture {number} of group {title!r} is {pixels.dtype} {shape}; "
                    "a contact sheet needs uint8 (H, W, 1) or (H, W, 3)"
                )


def _height_px(num_pictures: int, columns: int, cell_px: int) -> int:
    """Height of a group: the line of its title, its rows of cells and the margin below them."""
    rows = -(-num_pictures // columns)
    return _TITLE_PX + _cells_length_px(rows, cell_px) + _MARGIN_PX


def _cells_length_px(cells: int, cell_px: int) -> int:
    """Length of cells side by side, with a gap between them."""
    return max(0, cells * (cell_px + _GAP_PX) - _GAP_PX)


def _paste_picture(
    sheet: Image.Image, left: int, top: int, picture: Image.Image, cell_px: int
) -> None:
    """Paste a picture into the middle of the cell at (left, top)."""
    left += (cell_px - picture.width) // 2
    top += (cell_px - picture.height) // 2
    frame = (left - 1, top - 1, left + picture.width, top + picture.height)
    ImageDraw.Draw(sheet).rectangle(frame, outline=_FRAME)
    sheet.paste(picture, (left, top))


def _fit_to_cell(pixels: Picture, cell_px: int) -> Image.Image:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    scale = cell_px / max(image.size)
    if scale >= 1:
        size = (image.width * int(scale), image.height * int(scale))
        return image.resize(size, Image.Resampling.NEAREST)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _write_title(sheet: Image.Image, top: int, title: str, count: int) -> None:
    font = ImageFont.load_default(_FONT_PX)
    count_text = f"{count:,} image{'' if count == 1 else 's'}"
    room_px = sheet.width - 2 * _MARGIN_PX - _COUNT_GAP_PX - font.getlength(count_text)
    title = _shorten_title(_replace_missing_glyphs(title), room_px, font)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN_PX, top), title, _TITLE_COLOUR, font)
    count_left = _MARGIN_PX + round(font.getlength(title)) + _COUNT_GAP_PX
    draw.text((count_left, top), count_text, _COUNT_COLOUR, font)


def _replace_missing_glyphs(title: str) -> str:
    """Put a title on one line and replace the characters that the font does not have."""
    return "".join(_replace_missing_glyph(char) for char in " ".join(title[:_TITLE_CHARS].split()))


def _replace_missing_glyph(char: str) -> str:
    if char in _FONT_CHARS or (char.isascii() and char.isprintable()):
        return char
    # NFKD splits an accented letter into the letter and its accents.
    plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return plain if plain.isprintable() and plain else ascii(char)[1:-1]


def _shorten_title(
    title: str, room_px: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    if font.getlength(title) <= room_px:
        return title
    while title and font.getlength(title + "…") > room_px:
        title = title[:-1]
    return title.rstrip() + "…"
