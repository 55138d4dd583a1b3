"""Write BMP files of every header, depth, bit field and run length."""

from __future__ import annotations

import struct

import numpy as np

from picture_files.bits import pack_rows

RAW, RLE8, RLE4, BIT_FIELDS, ALPHA_BIT_FIELDS = 0, 1, 2, 3, 6


def bmp_of_indices(
    indices: np.ndarray,
    palette: np.ndarray,
    bits: int,
    header_bytes: int = 40,
    compression: int = RAW,
    top_down: bool = False,
) -> bytes:
    """A BMP of palette indices (h, w); palette (colours, 3) RGB."""
    stored = indices if top_down else indices[::-1]
    if compression == RAW:
        rows = pack_rows(stored, bits)
        size = len(rows) // len(stored)
        body = b"".join(rows[i : i + size] + b"\0" * (-size % 4) for i in range(0, len(rows), size))
    else:
        body = b"".join(run_lengths(row, bits) + b"\0\0" for row in stored) + b"\0\1"
    entry = b"" if header_bytes == 12 else b"\0"
    colours = b"".join(bytes(colour[::-1].tolist()) + entry for colour in palette)
    return bmp(
        indices.shape, bits, header_bytes, compression, top_down, colours, body, len(palette)
    )


def bmp_of_fields(
    channels: np.ndarray,
    masks: tuple[int, ...],
    bits: int,
    header_bytes: int = 56,
    compression: int = BIT_FIELDS,
    top_down: bool = False,
) -> bytes:
    """A BMP of (h, w, channels) values that already have the range of their mask."""
    words = np.zeros(channels.shape[:2], np.uint64)
    for i, mask in enumerate(masks[: channels.shape[2]]):
        shift = (mask & -mask).bit_length() - 1 if mask else 0
        words |= channels[..., i].astype(np.uint64) << np.uint64(shift)
    stored = words if top_down else words[::-1]
    body = b""
    for row in stored:
        if bits == 24:
            raw = row.astype("<u4")[:, None].view(np.uint8)[:, :3].tobytes()
        else:
            raw = row.astype(f"<u{bits // 8}").tobytes()
        body += raw + b"\0" * (-len(raw) % 4)
    fields = b""
    if compression != RAW:
        count = 4 if compression == ALPHA_BIT_FIELDS or header_bytes >= 56 else 3
        fields = struct.pack(f"<{count}I", *(*masks, 0)[:count])
    return bmp(channels.shape, bits, header_bytes, compression, top_down, b"", body, 0, fields)


def bmp(
    shape: tuple[int, ...],
    bits: int,
    header_bytes: int,
    compression: int,
    top_down: bool,
    colours: bytes,
    body: bytes,
    num_colours: int,
    fields: bytes = b"",
) -> bytes:
    height_px, width_px = shape[:2]
    if header_bytes == 12:
        header = struct.pack("<I4H", 12, width_px, height_px, 1, bits)
    else:
        signed_height = -height_px if top_down else height_px
        header = struct.pack("<IiiHH", header_bytes, width_px, signed_height, 1, bits)
        header += struct.pack("<IIiiII", compression, len(body), 2835, 2835, num_colours, 0)
        header += fields
        header = header.ljust(header_bytes, b"\0") if header_bytes != 16 else header[:16]
    rows_at = 14 + len(header) + len(colours)
    size = rows_at + len(body)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, rows_at) + header + colours + body


def run_lengths(row: np.ndarray, bits: int) -> bytes:
    """One row in run lengths: equal pixels as a run, 3 and more others as they are."""
    values, packed, at = row.tolist(), b"", 0
    while at < len(values):
        end = at + 1
        while end < len(values) and values[end] == values[at] and end - at < 255:
            end += 1
        if end - at > 1 or len(values) - at < 3:
            value = values[at]
            packed += bytes((end - at, value if bits == 8 else value << 4 | value))
            at = end
            continue
        literal = values[at : at + 5]
        raw = pack_rows(np.array([literal]), bits)
        if len(literal) < 3:
            continue
        packed += bytes((0, len(literal))) + raw + b"\0" * (len(raw) % 2)
        at += len(literal)
    return packed
