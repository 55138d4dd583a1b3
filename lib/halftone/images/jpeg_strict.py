"""JPEG: the strict decode, at the smallest scale that will do.

libjpeg-turbo decodes damaged files and only warns. Here a warning is an error, but for those
that leave every pixel as it was written:

- extraneous bytes between the header's segments,
- an unknown JFIF revision, an unknown Adobe transform code (libjpeg's own guess is taken),
- scan parameters that a sequential JPEG has no use for,
- zero bytes between the end of a scan and the next marker, which some cameras write (of a few
  bytes there, zero or not, libjpeg takes no notice).

libjpeg tells of a file's first warning only, so such a file is not decoded leniently: the oddity
is taken out of a copy of the file, which must then decode without any warning.

What follows the end-of-image marker is not read. A flipped bit that still decodes to the right
number of blocks cannot be told from a picture: JPEG has no checksum.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from halftone.images.jpeg import (
    APP0,
    APP14,
    DHT,
    PROGRESSIVE_FRAMES,
    SOS,
    JpegHeader,
    iterate_segments,
)
from halftone.images.result import ImageRejectedError, PixelArray

_HARMLESS_WARNINGS = re.compile(
    r"(?P<count>\d+) extraneous bytes before marker 0x(?P<marker>[0-9a-f]{2})"
    r"|unknown JFIF revision|Unknown Adobe color transform|Invalid SOS parameters",
    re.IGNORECASE,
)
_MAX_REPAIRS = 3  # each oddity hides the next; a file with more than these is not worth the time


def decode_jpeg_strictly(
    data: bytes, header: JpegHeader, channels: int, min_height_px: int, min_width_px: int
) -> PixelArray:
    """(h, w, channels) uint8 as stored, not turned; 3 channels of CMYK whatever is asked.

    h and w are the least n/8 of the source, n in 1..8, with h >= min_height_px and
    w >= min_width_px; 8/8 where there is none.

    Raises Rejected where libjpeg-turbo warns or fails, but for what the module calls harmless.
    """
    colorspace = "GRAY" if channels == 1 else "RGB"
    if header.components == 4:
        colorspace = "CMYK"
    for _ in range(_MAX_REPAIRS):
        try:
            pixels: PixelArray = simplejpeg.decode_jpeg(
                data, colorspace, min_height=min_height_px, min_width=min_width_px
            )
            break
        except ValueError as error:
            data = _repair(data, header, str(error))
    else:
        raise ImageRejectedError("damaged", f"more than {_MAX_REPAIRS} oddities in one JPEG")
    return _cmyk_to_rgb(pixels, header.has_adobe_marker) if header.components == 4 else pixels


def _repair(data: bytes, header: JpegHeader, message: str) -> bytes:
    """The file without what libjpeg warned of; Rejected where that was no harmless oddity."""
    harmless = _HARMLESS_WARNINGS.search(message)
    mended = data
    if harmless and harmless["count"]:
        mended = _drop_zeros_before(data, int(harmless["count"]), int(harmless["marker"], 16))
    if harmless and mended == data:
        mended = _normalise_header(data, header)
    if mended == data or not _has_needed_tables(mended):
        truncated = message.startswith("Premature end of JPEG file")
        raise ImageRejectedError("truncated" if truncated else "damaged", message)
    return mended


def _drop_zeros_before(data: bytes, count: int, marker: int) -> bytes:
    *_, (_, _, scan_data_at) = iterate_segments(data)
    at = data.find(bytes(count) + bytes((0xFF, marker)), scan_data_at)
    return data if at < 0 else data[:at] + data[at + count :]


def _normalise_header(data: bytes, header: JpegHeader) -> bytes:
    """The file with nothing between its segments, and with the fields that libjpeg overrides
    set to what it takes them for."""
    parts = [data[:2]]
    for marker, start, end in iterate_segments(data):
        segment = bytearray(data[start:end])
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
    """Whether the first scan's Huffman tables are in the file. libjpeg takes standard ones in
    their place, which is right for frames of a video, but not where damage hit the table."""
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


def _cmyk_to_rgb(cmyk: PixelArray, is_inverted: bool) -> PixelArray:
    """(h, w, 4) inks -> (h, w, 3); Adobe's files hold 255 for no ink."""
    light = (cmyk if is_inverted else 255 - cmyk).astype(np.uint16)
    return ((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8)
