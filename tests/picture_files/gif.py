"""Write GIF files of one frame, with any size of codes."""

from __future__ import annotations

import struct
from typing import Optional

import numpy as np

from picture_files.bits import lzw_codes, pack_codes


def gif(
    indices: np.ndarray,
    palette: np.ndarray,
    code_bits: int = 8,
    canvas_px: Optional[tuple[int, int]] = None,
    corner_px: tuple[int, int] = (0, 0),
    local_palette: bool = False,
    interlaced: bool = False,
    clear_index: Optional[int] = None,
    trailer: bytes = b"\0;",
) -> bytes:
    """A GIF of palette indices (h, w); sizes and corner are (width or left, height or top)."""
    height_px, width_px = indices.shape
    size = max(2, 1 << (len(palette) - 1).bit_length())
    table = np.pad(palette, ((0, size - len(palette)), (0, 0))).astype(np.uint8).tobytes()
    flag = 0x80 | size.bit_length() - 2
    canvas = canvas_px or (width_px, height_px)
    data = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0 if local_palette else flag, 0, 0)
    data += b"" if local_palette else table
    if clear_index is not None:
        data += b"\x21\xf9\4\1\0\0" + bytes((clear_index, 0))
    frame_flag = (flag if local_palette else 0) | (0x40 if interlaced else 0)
    data += b"\x2c" + struct.pack("<4HB", *corner_px, width_px, height_px, frame_flag)
    data += table if local_palette else b""
    if interlaced:
        indices = np.concatenate([indices[0::8], indices[4::8], indices[2::4], indices[1::2]])
    codes = lzw_codes(indices.astype(np.uint8).tobytes(), code_bits)
    packed = pack_codes(codes, code_bits + 1, lowest_bits_first=True)
    blocks = (packed[i : i + 255] for i in range(0, len(packed), 255))
    return data + bytes((code_bits,)) + b"".join(bytes((len(b),)) + b for b in blocks) + trailer
