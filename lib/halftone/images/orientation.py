"""EXIF's orientation: read it from wherever a container keeps it, and turn the picture by it."""

from __future__ import annotations

import numpy as np

from halftone.images.result import PixelArray

UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)  # stored rows are the picture's columns

_ORIENTATION_TAG = 0x0112
_TYPE_SHORT = 3
_MAX_ENTRIES = 1000  # a real directory holds some tens; a damaged count may say 65,535


def read_orientation(exif: bytes) -> int:
    """1..8 from an EXIF block, with or without the "Exif\\0\\0" in front of its TIFF header.

    A block that cannot be read gives 1, as viewers do: EXIF holds no pixels, so a
    damaged block is no reason to lose the image.
    """
    tiff = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    if tiff[:4] == b"II*\0":
        order = "little"
    elif tiff[:4] == b"MM\0*":
        order = "big"
    else:
        return UPRIGHT

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if order == "little" else "big")

    directory = number(4, 4)
    for i in range(min(number(directory, 2), _MAX_ENTRIES)):
        entry = directory + 2 + 12 * i
        if number(entry, 2) == _ORIENTATION_TAG:
            value = number(entry + 8, 2)
            whole = entry + 12 <= len(tiff) and number(entry + 2, 2) == _TYPE_SHORT
            return value if whole and 1 <= value <= 8 else UPRIGHT
    return UPRIGHT


def turn_upright(pixels: PixelArray, orientation: int) -> PixelArray:
    """(H, W, C) as stored -> (H, W, C), or (W, H, C) for 5..8, as looked at; may be a view."""
    if orientation in SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    # After the transpose, 6 wants its columns reversed (a quarter turn clockwise) and 8 its rows.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.asarray(pixels)
