"""The label of a picture: a JPEG comment with all of the picture's parameters.

With it, a file of another seed, or of a user, is never mistaken for a picture of this sample.
"""

from __future__ import annotations

import struct
from typing import Optional

DRAWING_VERSION = 1  # raise when the same parameters give other pictures

_LABEL_PREFIX = "halftone synthetic sample: "
_COMMENT_MARKER = b"\xff\xfe"
_SEARCHED_BYTES = 512


def make_label(seed: int, pair: int, kind: str, size_px: int) -> str:
    parameters = f"kind={kind} pair={pair} seed={seed} size_px={size_px} drawing={DRAWING_VERSION}"
    return f"{_LABEL_PREFIX}{parameters}"


def add_label(jpeg: bytes, label: str) -> bytes:
    comment = label.encode("ascii")
    segment = _COMMENT_MARKER + struct.pack(">H", 2 + len(comment)) + comment
    # JFIF requires its own segment first; the comment follows it.
    jfif_end = 4 + struct.unpack(">H", jpeg[4:6])[0]
    return jpeg[:jfif_end] + segment + jpeg[jfif_end:]


def find_label(data: bytes) -> Optional[str]:
    """Return the label of a file, intact or broken; None if it has none."""
    start = data.find(_LABEL_PREFIX.encode("ascii"), 4, _SEARCHED_BYTES)
    if start < 0:
        return None
    length = struct.unpack(">H", data[start - 2 : start])[0] - 2
    return data[start : start + length].decode("ascii", "replace")
