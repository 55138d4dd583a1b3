"""Extract the first frame of a GIF file, and check that it holds all of its pixels.

Pillow leaves pixels unset where the stream ends early. What follows the first frame is not read:
neither damage there nor a missing trailer changes a pixel.
"""

from __future__ import annotations

from typing import NamedTuple

from halftone.config import PixelSpec
from halftone.images.result import ImageRejectedError, check_size

_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = b"\xf9\4"  # its label and length
_HAS_COLOUR_TABLE = 0x80
_NOTHING = 0x00  # an end of blocks that some writers repeat
_MAX_CODE_BITS = 12
_START_CODE_BITS = range(1, _MAX_CODE_BITS)  # the format allows 8, readers take 11
_MAX_COLOURS = 256


class _GifFrame(NamedTuple):
    width_px: int
    height_px: int
    code_bits: int
    blocks_offset: int


def read_first_frame(data: bytes, spec: PixelSpec) -> bytes:
    """Return the file up to the end of its first frame, with a trailer.

    Takes about 0.3 us per LZW code, in Python; a photograph has one code per 1 to 3 pixels.

    Raises:
        ImageRejectedError: the first frame is incomplete or damaged, or the size is outside the
            limits of `spec`.
    """
    if len(data) < 13:
        raise ImageRejectedError("truncated", f"GIF of {len(data)} bytes, the header takes 13")
    check_size(spec, *_read_uint16_pair(data, 6))
    at, is_transparent = 13 + _colour_table_bytes(data[10]), False
    while at < len(data) and data[at] != _IMAGE:
        if data[at] == _EXTENSION:
            if data[at + 1 : at + 3] == _GRAPHIC_CONTROL:
                is_transparent = bool(data[at + 3 : at + 4]) and data[at + 3] & 1 == 1
            at = _skip_blocks(data, at + 2)
        elif data[at] == _NOTHING:
            at += 1
        elif data[at] == _END:
            raise ImageRejectedError("damaged", "GIF without a frame")
        else:
            raise ImageRejectedError("damaged", f"GIF block 0x{data[at]:02x} at {at:,}")
    if at >= len(data):
        raise ImageRejectedError("truncated", f"GIF without a frame, {len(data):,} bytes")
    frame = _read_frame(data, at)
    _check_canvas(data, at, is_transparent, spec)
    _check_pixels(data, frame)
    return data[: _skip_blocks(data, frame.blocks_offset)] + bytes((0, _END))


def _check_pixels(data: bytes, frame: _GifFrame) -> None:
    expected = frame.width_px * frame.height_px
    packed = _join_blocks(data, frame.blocks_offset)
    num_pixels = _count_lzw_pixels(packed, frame.code_bits, expected)
    if num_pixels >= expected:
        return
    is_cut = _skip_blocks(data, frame.blocks_offset) > len(data)
    raise ImageRejectedError(
        "truncated" if is_cut else "damaged",
        f"GIF frame of {num_pixels:,} pixels, its header requires {expected:,}",
    )


def _check_canvas(data: bytes, at: int, is_transparent: bool, spec: PixelSpec) -> None:
    """Check the size and colour of the decoder's canvas: a frame beyond it enlarges it."""
    canvas, corner, frame = (
        _read_uint16_pair(data, 6),
        _read_uint16_pair(data, at + 1),
        _read_uint16_pair(data, at + 5),
    )
    check_size(spec, max(canvas[0], corner[0] + frame[0]), max(canvas[1], corner[1] + frame[1]))
    if 0 in frame:
        raise ImageRejectedError("damaged", f"GIF frame of {frame[0]} x {frame[1]} px")
    has_own_table = bool(data[at + 9] & _HAS_COLOUR_TABLE)
    if not has_own_table and not data[10] & _HAS_COLOUR_TABLE:
        raise ImageRejectedError("unsupported", "GIF without a colour table")
    covers_canvas = corner == (0, 0) and frame[0] >= canvas[0] and frame[1] >= canvas[1]
    if has_own_table and not is_transparent and not covers_canvas:  # GIF readers disagree
        raise ImageRejectedError(
            "unsupported",
            f"GIF frame of {frame[0]} x {frame[1]} px on a canvas of {canvas[0]} x {canvas[1]} px "
            "that has no colour",
        )


def _read_frame(data: bytes, at: int) -> _GifFrame:
    blocks_at = at + 11
    if blocks_at <= len(data):
        blocks_at += _colour_table_bytes(data[at + 9])
    if blocks_at > len(data):
        raise ImageRejectedError(
            "truncated", f"GIF frame ends at {blocks_at:,} of {len(data):,} bytes"
        )
    code_bits = data[blocks_at - 1]
    if code_bits not in _START_CODE_BITS:
        raise ImageRejectedError("damaged", f"GIF of codes of {code_bits} bits at {at:,}")
    return _GifFrame(*_read_uint16_pair(data, at + 5), code_bits, blocks_at)


def _read_uint16_pair(data: bytes, at: int) -> tuple[int, int]:
    first = int.from_bytes(data[at : at + 2], "little")
    return first, int.from_bytes(data[at + 2 : at + 4], "little")


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & _HAS_COLOUR_TABLE else 0


def _skip_blocks(data: bytes, at: int) -> int:
    """Return the offset after a chain of sub-blocks; beyond the data if the chain is truncated.

    Each sub-block begins with its length in one byte.
    """
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _join_blocks(data: bytes, at: int) -> bytes:
    parts = []
    while at < len(data) and data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts)


def _count_lzw_pixels(packed: bytes, code_bits: int, max_pixels: int) -> int:
    """Count the pixels up to `max_pixels`, the end code or an invalid code.

    Only the length of each code's string is stored: a new code's string is one longer than that of
    the code before.
    """
    clear = 1 << code_bits
    lengths, size, last, pixels = [1] * clear + [0, 0], code_bits + 1, 0, 0
    window = window_bits = 0
    for byte in packed:
        window |= byte << window_bits
        window_bits += 8
        while window_bits >= size:
            code = window & ((1 << size) - 1)
            window >>= size
            window_bits -= size
            if code == clear:
                del lengths[clear + 2 :]
                size, last = code_bits + 1, 0
                continue
            invalid = code > len(lengths) or (code == len(lengths) and not last)
            invalid = invalid or _MAX_COLOURS <= code < clear
            if code == clear + 1 or invalid or pixels >= max_pixels:
                return pixels
            if last and len(lengths) < 1 << _MAX_CODE_BITS:
                lengths.append(last + 1)
            last = lengths[code]
            pixels += last
            if len(lengths) == 1 << size and size < _MAX_CODE_BITS:
                size += 1
    return pixels
