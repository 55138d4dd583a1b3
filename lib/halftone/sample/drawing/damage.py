"""Broken files, which preprocessing must reject."""

from __future__ import annotations

import numpy as np

BROKEN_FILES = {
    "comics/broken-text.jpg": "a text file named .jpg",
    "comics/broken-truncated.jpg": "a JPEG that ends in the middle of its picture data",
    "faces/broken-empty.jpg": "an empty file",
    "faces/broken-garbled.jpg": "a JPEG with random bytes amid its picture data",
}

_SCAN_MARKER = b"\xff\xda"


def make_broken_files(face: bytes, comic: bytes, seed: int) -> dict[str, bytes]:
    """Make the files that BROKEN_FILES lists, from two intact JPEGs."""
    return {
        "comics/broken-text.jpg": b"This is text, whatever its name says.\n",
        "comics/broken-truncated.jpg": truncate_jpeg(comic),
        "faces/broken-empty.jpg": b"",
        "faces/broken-garbled.jpg": garble_jpeg(face, seed),
    }


def truncate_jpeg(jpeg: bytes) -> bytes:
    """Cut a JPEG in the middle of its picture data."""
    return jpeg[: _find_middle_of_scan(jpeg)]


def garble_jpeg(jpeg: bytes, seed: int) -> bytes:
    """Overwrite an eighth of a JPEG's picture data, from the middle on."""
    start = _find_middle_of_scan(jpeg)
    length = (len(jpeg) - start) // 4
    noise = np.random.default_rng(seed).integers(0, 255, max(0, length - 2), np.uint8)
    # The noise ends with an invalid marker. Without it, a decoder might decode as many blocks from
    # the noise as it expects, and report no error.
    damage = noise.tobytes() + b"\xff\x01"
    return jpeg[:start] + damage + jpeg[start + len(damage) :]


def _find_middle_of_scan(jpeg: bytes) -> int:
    return (jpeg.index(_SCAN_MARKER) + len(jpeg)) // 2
