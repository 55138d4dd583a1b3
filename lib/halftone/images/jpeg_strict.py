"""Decode a JPEG strictly.

libjpeg-turbo decodes damaged files and only warns. Here a warning is an error, except for the
following, which do not change any pixel:

- extraneous bytes between the header's segments,
- a colour profile in wrongly numbered parts (profiles are not applied),
- an unknown JFIF revision, an unknown Adobe transform code (libjpeg's own guess is used),
- scan parameters that a sequential JPEG does not use,
- zero bytes between the end of a scan and the next marker, which some cameras write (libjpeg
  ignores a few bytes there, zero or not).

libjpeg reports only the first warning of a file, so such a file is not decoded leniently: the
defect is removed from a copy of the file, which must then decode without any warning.

Bytes after the end-of-image marker are not read. A flipped bit that still decodes to the right
number of blocks cannot be detected: JPEG has no checksum.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from halftone.images.jpeg import (
    APP0,
    APP2,
    APP14,
    DHT,
    PROGRESSIVE_FRAMES,
    SOS,
    JpegHeader,
    iterate_segments,
)
from halftone.images.jpeg_scale import FULL_SCALE
from halftone.images.result import ImageRejectedError, PixelArray

_HARMLESS_WARNINGS = re.compile(
    r"(?P<count>\d+) extraneous bytes before marker 0x(?P<marker>[0-9a-f]{2})"
    r"|bad ICC marker|unknown JFIF revision|Unknown Adobe color transform|Invalid SOS parameters",
    re.IGNORECASE,
)
_MAX_REPAIRS = 3  # one defect hides the next; a file with more of them is rejected to save time


def decode_jpeg_strictly(data: bytes, header: JpegHeader, channels: int, scale: int) -> PixelArray:
    """Decode to (h, w, channels) uint8 as stored, not rotated; CMYK always gives 3 channels.

    h and w are `scale` eighths of the source, rounded up.

    Raises:
        ImageRejectedError: libjpeg-turbo fails, or warns of anything but the harmless defects that
            the module's docstring lists.
    """
    colorspace = "GRAY" if channels == 1 else "RGB"
    if header.components == 4:
        colorspace = "CMYK"
    for _ in range(_MAX_REPAIRS):
        try:
            pixels: PixelArray = simplejpeg.decode_jpeg(
                data,
                colorspace,
                min_height=-(-header.height_px * scale // FULL_SCALE),
                min_width=-(-header.width_px * scale // FULL_SCALE),
            )
            break
        except ValueError as error:
            data = _repair(data, header, str(error))
    else:
        raise ImageRejectedError("damaged", f"more than {_MAX_REPAIRS} defects in one JPEG")
    return _cmyk_to_rgb(pixels) if header.components == 4 else pixels


def _repair(data: bytes, header: JpegHeader, message: str) -> bytes:
    """Return the file without the defect that libjpeg warned of.

    Raises:
        ImageRejectedError: the defect is not harmless.
    """
    harmless = _HARMLESS_WARNINGS.search(message)
    repaired = data
    if harmless and harmless["count"]:
        repaired = _drop_zeros_before(data, int(harmless["count"]), int(harmless["marker"], 16))
    if harmless and repaired == data:
        repaired = _normalise_header(data, header)
    if repaired == data or not _has_needed_tables(repaired):
        truncated = message.startswith("Premature end of JPEG file")
        raise ImageRejectedError("truncated" if truncated else "damaged", message)
    return repaired


def _drop_zeros_before(data: bytes, count: int, marker: int) -> bytes:
    *_, (_, _, scan_data_at) = iterate_segments(data)
    at = data.find(bytes(count) + bytes((0xFF, marker)), scan_data_at)
    return data if at < 0 else data[:at] + data[at + count :]


def _normalise_header(data: bytes, header: JpegHeader) -> bytes:
    """Remove bytes between segments, and set the fields that libjpeg overrides to its values."""
    parts = [data[:2]]
    for marker, start, end in iterate_segments(data):
        segment = bytearray(data[start:end])
        if marker == APP2 and segment[4:16] == b"ICC_PROFILE\0":
            continue
        if marker == APP0 and segment[4:9] == b"JFIF\0":
            segment[9:11] = b"\x01\x01"
        elif marker == APP14 and segment[4:9] == b"Adobe" and len(segment) > 15:
            segment[15] = min(segment[15], 2 if header.components == 4 else 1)
        elif marker == SOS and header.frame_marker not in PROGRESSIVE_FRAMES:
            segment[-3:] = b"\x00\x3f\x00"
        parts.append(bytes(segment))
        scan_data_at = end
    return b"".join(parts) + data[scan_data_at:]


def _has_needed_tables(data: bytes) -> bool:
    """Whether the first scan's Huffman tables are in the file.

    libjpeg substitutes standard tables for missing ones. This is right for frames of a video, but
    not for a damaged table.
    """
    tables, needed = set(), set()
    for marker, start, end in iterate_segments(data):
        at = start + 4
        while marker == DHT and at + 17 <= end:
            tables.add(data[at])
            at += 17 + sum(data[at + 1 : at + 17])
        if marker == SOS:
            first, last = data[end - 3], data[end - 2]  # of the 64 coefficients; 0 is DC
            for choice in data[start + 6 : end - 3 : 2]:
                needed |= {choice >> 4} if first == 0 else set()
                needed |= {0x10 | choice & 15} if last > 0 else set()
    return needed <= tables


def _cmyk_to_rgb(cmyk: PixelArray) -> PixelArray:
    """(h, w, 4) as stored -> (h, w, 3) RGB.

    255 means no ink, with and without Adobe's marker, as in browsers, Pillow and OpenCV.
    """
    light = cmyk.astype(np.uint16)
    return ((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8)
