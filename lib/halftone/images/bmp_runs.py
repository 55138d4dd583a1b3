"""Undo the run lengths of BMP."""

from __future__ import annotations

from halftone.images.result import ImageRejectedError

_END_OF_ROW, _END_OF_PICTURE, _MOVE = 0, 1, 2


def unpack_runs(runs: memoryview, bits: int, width_px: int, height_px: int) -> bytearray:
    """Return the palette index of each pixel, rows in the order of the file.

    Args:
        runs: the data of RLE8 or RLE4, and any bytes after it.
        bits: 8 or 4.

    Raises:
        ImageRejectedError: the data is truncated or damaged, or leaves pixels unset, to which
            readers give different colours.
    """
    indices = bytearray(width_px * height_px)
    at = row = column = num_set = 0
    while num_set < len(indices):
        if at + 2 > len(runs):
            raise ImageRejectedError(
                "truncated", f"BMP runs end after {num_set:,} of {len(indices):,} pixels"
            )
        length, value = runs[at], runs[at + 1]
        at += 2
        if length:
            pixels = _repeat(value, length, bits)
        elif value == _END_OF_ROW:
            row, column = row + 1, 0
            continue
        elif value == _END_OF_PICTURE:
            break
        elif value == _MOVE:
            if at + 2 > len(runs):
                continue  # truncated, see above
            column, row = column + runs[at], row + runs[at + 1]
            at += 2
            continue
        else:
            num_bytes = (value * bits + 7) // 8
            pixels = _split(bytes(runs[at : at + num_bytes]), bits)[:value]
            at += num_bytes + num_bytes % 2
        start = row * width_px + column
        if column + len(pixels) > width_px or row >= height_px:
            raise ImageRejectedError(
                "damaged", f"BMP run of {len(pixels)} pixels at row {row}, column {column}"
            )
        indices[start : start + len(pixels)] = pixels
        column += len(pixels)
        num_set += len(pixels)
    if num_set < len(indices):
        raise ImageRejectedError(
            "unsupported", f"BMP runs leave {len(indices) - num_set:,} pixels unset"
        )
    return indices


def _repeat(value: int, length: int, bits: int) -> bytes:
    if bits == 8:
        return bytes((value,)) * length
    return (bytes((value >> 4, value & 15)) * ((length + 1) // 2))[:length]


def _split(packed: bytes, bits: int) -> bytes:
    if bits == 8:
        return packed
    return bytes(part for value in packed for part in (value >> 4, value & 15))
