"""Write TIFF files, variant by variant of the TIFF 6.0 specification."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple, Optional

import numpy as np

from picture_files.bits import REVERSED_BITS, lzw_codes, pack_codes, pack_rows

BYTE, SHORT, LONG, UNDEFINED, LONG8 = 1, 3, 4, 7, 16
FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", UNDEFINED: "B", LONG8: "Q"}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
RAW, LZW, JPEG, DEFLATE, PACKBITS = 1, 5, 7, 8, 32773

Entry = tuple[int, list[int]]  # type and values


class Layout(NamedTuple):
    """How samples are stored; the same picture from each layout."""

    planar: bool = False
    byte_order: str = "<"
    compression: int = RAW
    has_predictor: bool = False
    is_bit_reversed: bool = False
    strip_rows: Optional[int] = None
    tile_px: Optional[int] = None
    is_big: bool = False


def tiff_of_samples(
    samples: np.ndarray, bits: int, photometric: int, layout: Layout, **tags: Optional[Entry]
) -> bytes:
    """A TIFF of (h, w, samples) values; `tags` t123=(type, values) add to or replace its tags.

    A tag of None is left out.
    """
    height_px, width_px, num_samples = samples.shape
    planes = np.split(samples, num_samples, axis=2) if layout.planar else [samples]
    parts = [
        _pack_part(part, bits, layout)
        for plane in planes
        for part in _cut_into_parts(plane, layout)
    ]
    entries: dict[int, Optional[Entry]] = {
        256: (SHORT, [width_px]),
        257: (LONG, [height_px]),
        258: (SHORT, [bits] * num_samples),
        259: (SHORT, [layout.compression]),
        262: (SHORT, [photometric]),
        277: (SHORT, [num_samples]),
        284: (SHORT, [2 if layout.planar else 1]),
    }
    if layout.has_predictor:
        entries[317] = (SHORT, [2])
    if layout.is_bit_reversed:
        entries[266] = (SHORT, [2])
    if layout.tile_px:
        entries[322] = entries[323] = (SHORT, [layout.tile_px])
    elif layout.strip_rows:
        entries[278] = (LONG, [layout.strip_rows])
    entries.update({int(name[1:]): entry for name, entry in tags.items()})
    return tiff_of_parts(parts, entries, layout)


def tiff_of_parts(parts: list[bytes], entries: dict[int, Optional[Entry]], layout: Layout) -> bytes:
    """A TIFF of these strips or tiles."""
    order, is_big = layout.byte_order, layout.is_big
    word, word_bytes = ("Q", 8) if is_big else ("I", 4)
    body, starts = bytearray(16 if is_big else 8), []
    for part in parts:
        starts.append(len(body))
        body += part + b"\0" * (len(part) % 2)
    offsets, sizes = (324, 325) if layout.tile_px else (273, 279)
    entries = {
        offsets: (LONG, starts),
        sizes: (LONG, [len(part) for part in parts]),
        **entries,
    }
    directory = b""
    kept = {tag: entry for tag, entry in sorted(entries.items()) if entry}
    for tag, (kind, values) in kept.items():
        raw = struct.pack(f"{order}{len(values)}{FORMATS[kind]}", *values)
        directory += struct.pack(f"{order}HH{word}", tag, kind, len(values))
        if len(raw) > word_bytes:
            directory += struct.pack(order + word, len(body))
            body += raw + b"\0" * (len(raw) % 2)
        else:
            directory += raw.ljust(word_bytes, b"\0")
    count = struct.pack(order + ("Q" if is_big else "H"), len(kept))
    mark = b"II" if order == "<" else b"MM"
    if is_big:
        header = mark + struct.pack(order + "HHHQ", 43, 8, 0, len(body))
    else:
        header = mark + struct.pack(order + "HI", 42, len(body))
    return header + bytes(body[len(header) :]) + count + directory + bytes(word_bytes)


def _cut_into_parts(plane: np.ndarray, layout: Layout) -> list[np.ndarray]:
    height_px, width_px, _ = plane.shape
    size = layout.tile_px
    if not size:
        rows = layout.strip_rows or height_px
        return [plane[top : top + rows] for top in range(0, height_px, rows)]
    padded = np.pad(plane, ((0, -height_px % size), (0, -width_px % size), (0, 0)), mode="edge")
    return [
        padded[top : top + size, left : left + size]
        for top in range(0, height_px, size)
        for left in range(0, width_px, size)
    ]


def _pack_part(part: np.ndarray, bits: int, layout: Layout) -> bytes:
    if layout.has_predictor:
        part = np.diff(part.astype(np.int64), axis=1, prepend=0) % (1 << bits)
    rows = pack_rows(part.reshape(len(part), -1), bits, layout.byte_order)
    packed = _compress(rows, len(part), layout.compression)
    return packed.translate(REVERSED_BITS) if layout.is_bit_reversed else packed


def _compress(rows: bytes, num_rows: int, compression: int) -> bytes:
    if compression == DEFLATE:
        return zlib.compress(rows)
    if compression == LZW:
        return pack_codes(lzw_codes(rows, 8), 9, lowest_bits_first=False)
    if compression == PACKBITS:
        size = len(rows) // num_rows
        return b"".join(_packbits(rows[i : i + size]) for i in range(0, len(rows), size))
    return rows


def _packbits(row: bytes) -> bytes:
    """Literal runs of up to 128 bytes, but for a first byte that repeats."""
    repeats = len(row) - len(row.lstrip(row[:1]))
    packed = b""
    if 2 <= repeats <= 128:
        packed, row = bytes((257 - repeats, row[0])), row[repeats:]
    for start in range(0, len(row), 128):
        literal = row[start : start + 128]
        packed += bytes((len(literal) - 1,)) + literal
    return packed
