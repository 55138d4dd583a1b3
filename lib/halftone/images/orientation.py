"""Read the EXIF orientation, and rotate pixels by it."""

from __future__ import annotations

import numpy as np

from halftone.images.result import PixelArray

UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)  # orientations in which stored rows are the picture's columns
# After the transpose for SIDEWAYS, 6 (a quarter turn clockwise) mirrors the columns, 8 the rows.
MIRRORED_COLUMNS = (2, 3, 6, 7)
MIRRORED_ROWS = (3, 4, 7, 8)

_ORIENTATION_TAG = 0x0112
# Bytes of a value by type number: BYTE, SHORT, LONG. EXIF requires SHORT; Pillow and viewers read
# the others as well.
_VALUE_BYTES = {1: 1, 3: 2, 4: 4}
_MAX_ENTRIES = 1000  # a real directory holds some tens; a damaged count may be 65,535


def read_orientation(exif: bytes) -> int:
    """Return 1..8 from an EXIF block, with or without "Exif\\0\\0" before its TIFF header.

    A block that cannot be read gives 1, as in image viewers: EXIF holds no pixels, so a damaged
    block is no reason to reject the image.
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
            value = number(entry + 8, _VALUE_BYTES.get(number(entry + 2, 2), 0))
            is_whole = entry + 12 <= len(tiff)
            return value if is_whole and 1 <= value <= 8 else UPRIGHT
    return UPRIGHT


def turn_upright(pixels: PixelArray, orientation: int) -> PixelArray:
    """(H, W, C) as stored -> (H, W, C) as displayed, (W, H, C) for 5..8; may return a view."""
    if orientation in SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in MIRRORED_COLUMNS:
        pixels = pixels[:, ::-1]
    if orientation in MIRRORED_ROWS:
        pixels = pixels[::-1]
    return np.asarray(pixels)
