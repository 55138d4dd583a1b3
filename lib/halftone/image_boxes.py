"""A part of an image as an image of its own: its key ends in #xywh=X,Y,WIDTH,HEIGHT.

This is the notation of the W3C's Media Fragments URI, in px of the upright image.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

_FRAGMENT = re.compile(r"#xywh=(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})$", re.ASCII)


class ImageBox(NamedTuple):
    """A rectangle in px of an upright image."""

    x: int  # of its left edge
    y: int  # of its top edge
    width: int
    height: int

    def fragment(self) -> str:
        return f"#xywh={self.x},{self.y},{self.width},{self.height}"


def split_box(key: str) -> tuple[str, Optional[ImageBox]]:
    """Return the path or URL of the file of a key, and its box; None: the whole image."""
    match = _FRAGMENT.search(key)
    if match is None:
        return key, None
    return key[: match.start()], ImageBox(*map(int, match.groups()))
