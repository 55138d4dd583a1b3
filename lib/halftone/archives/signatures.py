"""Whether bytes begin as an image file: to tell it from pixels, not to decode it."""

from __future__ import annotations

import re

# JPEG, PNG, GIF, BMP, TIFF, PNM, WebP, JPEG 2000, JPEG XL, HEIC and AVIF, and DICOM.
_BEGINNINGS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM.{4}\0\0\0\0|II[*+]\0|MM\0[*+]|P[1-7]\s"
    rb"|RIFF.{4}WEBP|\0\0\0\x0c(?:jP  |JXL )\r\n\x87\n|\xff\x4f\xff\x51|\xff\x0a|.{4}ftyp"
    rb"|.{128}DICM",
    re.S,
)
NEEDED_BYTES = 132


def begins_as_image_file(data: bytes) -> bool:
    """Return whether bytes, at least the first NEEDED_BYTES of a longer file, begin as one."""
    return _BEGINNINGS.match(data) is not None
