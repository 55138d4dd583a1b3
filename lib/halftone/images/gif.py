"""GIF: is the file whole, and does its first frame hold all of its pixels.

Pillow checks neither: it passes over a missing end, and leaves unset what a stream that ends
early does not fill.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from halftone.config import PixelSpec
from halftone.images.result import ImageRejectedError, check_size

_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_CODE_BITS = range(1, 9)
_MAX_CODE_BITS = 12


class _GifFrame(NamedTuple):
    width_px: int
    height_px: int
    code_bits: int
    blocks_offset: int


def check_gif(data: bytes, spec: PixelSpec) -> None:
    """Raises Rejected: no whole first frame, no end, or a size outside of `spec`.

    Takes about 0.3 us a code, in Python, of which a photograph has one for every 1 to 3 pixels.
    """
    if len(data) < 13:
        raise ImageRejectedError("truncated", f"GIF of {len(data)} bytes, its header takes 13")
    check_size(spec, *_read_uint16_pair(data, 6))
    first: Optional[_GifFrame] = None
    at = 13 + _colour_table_bytes(data[10])
    while at < len(data) and data[at] != _END:
        if data[at] == _EXTENSION:
            at = _skip_blocks(data, at + 2)
        elif data[at] == _IMAGE:
            frame = _read_frame(data, at)
            if first is None:
                _check_canvas(data, at, spec)
                first = frame
            at = _skip_blocks(data, frame.blocks_offset)
        else:
            raise ImageRejectedError("damaged", f"GIF block 0x{data[at]:02x} at {at:,}")
    if at >= len(data):
        raise ImageRejectedError("truncated", f"GIF without its end, {len(data):,} bytes")
    if first is None:
        raise ImageRejectedError("damaged", "GIF without a frame")
    wanted = first.width_px * first.height_px
    found = _count_lzw_pixels(_join_blocks(data, first.blocks_offset), first.code_bits, wanted)
    if found < wanted:
        raise ImageRejectedError(
            "damaged", f"GIF frame of {found:,} pixels, its header asks {wanted:,}"
        )


def _check_canvas(data: bytes, at: int, spec: PixelSpec) -> None:
    """A first frame that sticks out of the canvas makes the decoder's canvas larger."""
    canvas, corner, frame = (
        _read_uint16_pair(data, 6),
        _read_uint16_pair(data, at + 1),
        _read_uint16_pair(data, at + 5),
    )
    check_size(spec, max(canvas[0], corner[0] + frame[0]), max(canvas[1], corner[1] + frame[1]))


def _read_frame(data: bytes, at: int) -> _GifFrame:
    blocks_at = at + 11
    if blocks_at <= len(data):
        blocks_at += _colour_table_bytes(data[at + 9])
    if blocks_at > len(data):
        raise ImageRejectedError(
            "truncated", f"GIF frame ends at {blocks_at:,} of {len(data):,} bytes"
        )
    code_bits = data[blocks_at - 1]
    if code_bits not in _CODE_BITS:
        raise ImageRejectedError("damaged", f"GIF of codes of {code_bits} bits at {at:,}")
    return _GifFrame(*_read_uint16_pair(data, at + 5), code_bits, blocks_at)


def _read_uint16_pair(data: bytes, at: int) -> tuple[int, int]:
    first = int.from_bytes(data[at : at + 2], "little")
    return first, int.from_bytes(data[at + 2 : at + 4], "little")


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    """The offset after a chain of sub-blocks, each led by its length; beyond the data if cut."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _join_blocks(data: bytes, at: int) -> bytes:
    parts = []
    while data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts)


def _count_lzw_pixels(packed: bytes, code_bits: int, max_pixels: int) -> int:
    """How many pixels the codes stand for, up to `enough`, the end code or an impossible one.

    Only the length of each code's string is kept: a new code is one longer than the last used.
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
            impossible = code > len(lengths) or (code == len(lengths) and not last)
            if code == clear + 1 or impossible or pixels >= max_pixels:
                return pixels
            if last and len(lengths) < 1 << _MAX_CODE_BITS:
                lengths.append(last + 1)
            last = lengths[code]
            pixels += last
            if len(lengths) == 1 << size and size < _MAX_CODE_BITS:
                size += 1
    return pixels
