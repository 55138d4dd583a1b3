"""Decode a JPEG strictly.

libjpeg-turbo decodes damaged files and only warns. Here a warning is an error, except for defects
that do not change any pixel; docs/explanation/rejects.md lists them.

libjpeg reports only the first warning of a file, so such a file is not decoded leniently: the
defect is removed from a copy of the file, which must then decode without any warning.

TurboJPEG does not decode unusual sampling factors. Such a file is checked by counting its blocks,
see `jpeg_blocks`, and decoded by Pillow, whose libjpeg-turbo does.

Bytes after the end-of-image marker are not read. A flipped bit that still decodes to the right
number of blocks cannot be detected: JPEG has no checksum.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import simplejpeg

from halftone.config import PixelSpec
from halftone.images.jpeg import (
    APP0,
    APP2,
    APP14,
    DHT,
    SEQUENTIAL_HUFFMAN_FRAMES,
    SOS,
    JpegHeader,
    has_one_scan,
    iterate_segments,
)
from halftone.images.jpeg_blocks import find_scans_end, sampling_factors
from halftone.images.jpeg_scale import FULL_SCALE
from halftone.images.pillow_reader import load_pixels
from halftone.images.result import ImageRejectedError, PixelArray

_HARMLESS_WARNINGS = re.compile(
    r"(?P<count>\d+) extraneous bytes before marker 0x(?P<marker>[0-9a-f]{2})"
    r"|bad ICC marker|unknown JFIF revision|Unknown Adobe color transform|Invalid SOS parameters"
    r"|two SOI markers",  # a picture follows in place of the end marker
    re.IGNORECASE,
)
_END_MARKER = b"\xff\xd9"
END_IS_MISSING = "Premature end of JPEG file"
UNUSUAL_SAMPLING = "Could not determine subsampling"
_MAX_REPAIRS = 3  # one defect hides the next; a file with more of them is rejected to save time


class ScaledPixels(NamedTuple):
    """A decoded JPEG, as stored, not rotated."""

    pixels: PixelArray  # (h, w, 1 or 3) uint8
    scale: int  # h and w are so many eighths of the source's, rounded up


def decode_jpeg_strictly(
    data: bytes, header: JpegHeader, spec: PixelSpec, scale: int
) -> ScaledPixels:
    """Decode at `scale`, or at full scale where only Pillow decodes the file.

    A CMYK file always gives 3 channels, others may give those of `spec`.

    Raises:
        ImageRejectedError: libjpeg-turbo fails, or warns of anything but a harmless defect.
    """
    colorspace = "GRAY" if spec.channels == 1 else "RGB"
    if header.components == 4:
        colorspace = "CMYK"
    reported = ""
    for _ in range(_MAX_REPAIRS + 1):
        try:
            pixels: PixelArray = simplejpeg.decode_jpeg(
                data,
                colorspace,
                min_height=-(-header.height_px * scale // FULL_SCALE),
                min_width=-(-header.width_px * scale // FULL_SCALE),
            )
        except ValueError as error:
            message = str(error)
            if UNUSUAL_SAMPLING in message:
                return ScaledPixels(_decode_unusual_sampling(data, header, spec), FULL_SCALE)
            if not reported.startswith(END_IS_MISSING):
                reported = message
            data = _repair(data, header, message, reported)
        else:
            is_cmyk = header.components == 4
            return ScaledPixels(_cmyk_to_rgb(pixels) if is_cmyk else pixels, scale)
    raise ImageRejectedError("damaged", f"more than {_MAX_REPAIRS} defects in one JPEG")


def _decode_unusual_sampling(data: bytes, header: JpegHeader, spec: PixelSpec) -> PixelArray:
    kind = f"JPEG of sampling factors {sampling_factors(data, header)}"
    if header.frame_marker not in SEQUENTIAL_HUFFMAN_FRAMES:
        raise ImageRejectedError("unsupported", f"{kind}, progressive or arithmetic coded")
    whole = _normalise_header(data[: find_scans_end(data, header)] + _END_MARKER, header)
    try:
        return load_pixels(whole, "jpeg", spec)
    except ImageRejectedError as rejected:  # all blocks are there
        raise ImageRejectedError("unsupported", f"{kind}: {rejected.detail}") from None


def _repair(data: bytes, header: JpegHeader, message: str, reported: str) -> bytes:
    """Return the file without the defect that libjpeg warned of in `message`.

    Raises:
        ImageRejectedError: the defect is not harmless; `reported` is its detail.
    """
    harmless = _HARMLESS_WARNINGS.search(message)
    repaired = data
    if harmless and harmless["count"]:
        repaired = _drop_zeros_before(data, int(harmless["count"]), int(harmless["marker"], 16))
    if harmless and repaired == data:
        repaired = _normalise_header(data, header)
    if harmless and repaired == data:
        repaired = _drop_junk_after_scans(data, header)
    if message.startswith(END_IS_MISSING) and has_one_scan(data, header):
        repaired = data + _END_MARKER  # now libjpeg warns if blocks are missing too
    if repaired == data or not _has_needed_tables(repaired):
        truncated = reported.startswith(END_IS_MISSING)
        raise ImageRejectedError("truncated" if truncated else "damaged", reported)
    return repaired


def _drop_junk_after_scans(data: bytes, header: JpegHeader) -> bytes:
    try:
        return data[: find_scans_end(data, header)] + _END_MARKER
    except ImageRejectedError:
        return data


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
        elif marker == SOS and not header.is_progressive:
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
