"""Decode the JPEG-compressed strips and tiles of a TIFF page, with the strictness of JPEG files.

libtiff passes over libjpeg's warnings, so a damaged part would decode to wrong pixels.
"""

from __future__ import annotations

import simplejpeg

from halftone.config import PixelSpec
from halftone.images.jpeg import APP0, APP14, iterate_segments, read_jpeg_header
from halftone.images.jpeg_strict import END_IS_MISSING, UNUSUAL_SAMPLING
from halftone.images.result import ImageRejectedError, PixelArray
from halftone.images.tiff_page import Photometric, TiffPage

# Adobe's marker with version 100, no flags, and the transform that its last byte names.
_ADOBE_MARKER = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
_NO_TRANSFORM, _YCBCR_TRANSFORM = b"\0", b"\1"
_COLOURSPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}


def decode_part(packed: bytes, page: TiffPage, rows: int, spec: PixelSpec) -> PixelArray:
    """Decode a strip or tile to (rows, part_width_px, samples of the part) uint8, YCbCr as RGB.

    Raises:
        ImageRejectedError: it is truncated, damaged or of a kind that is not decoded.
    """
    stream = packed[:2] + page.jpeg_tables[2:-2] + packed[2:]
    header = read_jpeg_header(stream, spec.model_copy(update={"min_side_px": 1}))
    samples = page.samples_of_part
    if header.components != samples or samples not in _COLOURSPACES:
        raise ImageRejectedError(
            "unsupported", f"TIFF of {samples} samples, {header.components} in its JPEG parts"
        )
    is_high_enough = header.height_px == rows or (header.height_px > rows and not page.is_tiled)
    if header.width_px != page.part_width_px or not is_high_enough:
        raise ImageRejectedError(
            "damaged",
            f"TIFF part of {header.width_px} x {header.height_px} px, "
            f"its tags require {page.part_width_px} x {rows}",
        )
    is_ycbcr = page.photometric == Photometric.YCBCR
    stream = _with_transform(stream, _YCBCR_TRANSFORM if is_ycbcr else _NO_TRANSFORM)
    try:
        decoded: PixelArray = simplejpeg.decode_jpeg(stream, _COLOURSPACES[samples])
    except ValueError as error:
        reason = "damaged"
        if UNUSUAL_SAMPLING in str(error):
            reason = "unsupported"
        elif str(error).startswith(END_IS_MISSING):
            reason = "truncated"
        raise ImageRejectedError(reason, f"TIFF strip or tile: {error}") from None
    return decoded


def _with_transform(stream: bytes, transform: bytes) -> bytes:
    """Replace the markers by which libjpeg guesses the colours, as TIFF's own tag states them."""
    parts = [stream[:2], _ADOBE_MARKER, transform]
    for marker, start, end in iterate_segments(stream):
        if marker not in (APP0, APP14):
            parts.append(stream[start:end])
        scan_data_at = end
    return b"".join(parts) + stream[scan_data_at:]
