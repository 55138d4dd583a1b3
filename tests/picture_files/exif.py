"""Write EXIF blocks that hold an orientation."""

from __future__ import annotations

import struct

BYTE, SHORT, LONG, SIGNED_SHORT = 1, 3, 4, 8


def exif_tiff(orientation: int, kind: int, order: str = "<") -> bytes:
    """A TIFF header and a directory with the orientation alone, as a value of type `kind`."""
    value_format = {BYTE: "B3x", SHORT: "H2x", LONG: "I", SIGNED_SHORT: "h2x"}[kind]
    value = struct.pack(order + value_format, orientation)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)


def exif_segment(tiff: bytes) -> bytes:
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
