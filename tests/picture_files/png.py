"""Write PNG files of every colour type, depth, filter and interlacing."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from picture_files.bits import pack_rows

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
ADAM7 += ((0, 1, 1, 2),)


def png(
    samples: np.ndarray,
    bits: int,
    colour_type: int,
    *chunks: tuple[bytes, bytes],
    interlaced: bool = False,
    more_rows: bytes = b"",
) -> bytes:
    """A PNG of (h, w, samples) values, with `chunks` before its pixels."""
    height_px, width_px, num_samples = samples.shape
    raw, px_bytes = b"", max(1, bits * num_samples // 8)
    for left, top, step_x, step_y in ADAM7 if interlaced else ((0, 0, 1, 1),):
        picture = samples[top::step_y, left::step_x]
        if picture.size:
            raw += _filter_rows(picture.reshape(len(picture), -1), bits, px_bytes)
    header = struct.pack(">IIBBBBB", width_px, height_px, bits, colour_type, 0, 0, interlaced)
    pixels = zlib.compress(raw + more_rows)
    return png_of_chunks((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b""))


def png_of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _filter_rows(rows: np.ndarray, bits: int, px_bytes: int) -> bytes:
    """All five filters in turn, each with its number before its row."""
    above, filtered = np.zeros(0, int), b""
    for i, row in enumerate(rows):
        line = np.frombuffer(pack_rows(row[None], bits), np.uint8).astype(int)
        above = above if above.size else np.zeros_like(line)
        left = np.concatenate([np.zeros(px_bytes, int), line])[: line.size]
        corner = np.concatenate([np.zeros(px_bytes, int), above])[: line.size]
        guess = left + above - corner
        distances = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
        paeth = np.stack([left, above, corner])[distances.argmin(axis=0), np.arange(line.size)]
        predicted = (0 * line, left, above, (left + above) // 2, paeth)[i % 5]
        filtered += bytes((i % 5,)) + ((line - predicted) % 256).astype(np.uint8).tobytes()
        above = line
    return filtered
