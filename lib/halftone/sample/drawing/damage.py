"""Files broken on purpose, so that rejecting them can be seen to work."""

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
    """The files that BROKEN names, made from two whole JPEGs."""
    return {
        "comics/broken-text.jpg": b"This is text, whatever its name says.\n",
        "comics/broken-truncated.jpg": truncate_jpeg(comic),
        "faces/broken-empty.jpg": b"",
        "faces/broken-garbled.jpg": garble_jpeg(face, seed),
    }


def truncate_jpeg(jpeg: bytes) -> bytes:
    """The JPEG up to the middle of its picture data."""
    return jpeg[: _find_middle_of_scan(jpeg)]


def garble_jpeg(jpeg: bytes, seed: int) -> bytes:
    """The JPEG with an eighth of its picture data, from the middle on, written over."""
    start = _find_middle_of_scan(jpeg)
    length = (len(jpeg) - start) // 4
    noise = np.random.default_rng(seed).integers(0, 255, max(0, length - 2), np.uint8)
    # a marker where none may stand: without it, a decoder could find in the noise as many blocks
    # as it looks for, and nothing amiss
    damage = noise.tobytes() + b"\xff\x01"
    return jpeg[:start] + damage + jpeg[start + len(damage) :]


def _find_middle_of_scan(jpeg: bytes) -> int:
    return (jpeg.index(_SCAN_MARKER) + len(jpeg)) // 2
