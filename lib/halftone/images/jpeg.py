"""Read a JPEG header, and reject files that must not reach the decoder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from halftone.config import PixelSpec
from halftone.images.orientation import read_orientation
from halftone.images.result import ImageRejectedError, check_size

DHT, EOI, SOS, DRI = 0xC4, 0xD9, 0xDA, 0xDD
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_MISPLACED_MARKERS = (0x01, *range(0xD0, 0xDA))  # TEM, restarts, SOI and EOI, within a header
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # these three are not frames
PROGRESSIVE_FRAMES = (0xC2, 0xCA)
SEQUENTIAL_HUFFMAN_FRAMES = (0xC0, 0xC1)
# Lossless frames crash the decoder with a segmentation fault, so they must not reach it.
_DECODABLE_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)

# Ends a scan's data, in which 0xff is followed by 0 or belongs to a restart marker.
MARKER_IN_SCAN = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")


class JpegHeader(NamedTuple):
    """The fields before the first scan."""

    height_px: int  # as stored, before the EXIF rotation
    width_px: int
    components: int
    frame_marker: int  # the SOF marker
    orientation: int  # 1..8
    scan_offset: int  # of the first SOS marker

    @property
    def is_progressive(self) -> bool:
        """Whether each scan adds detail to the picture."""
        return self.frame_marker in PROGRESSIVE_FRAMES


def has_one_scan(data: bytes, header: JpegHeader) -> bool:
    """Whether the first scan has the whole picture."""
    components = data[header.scan_offset + 4 : header.scan_offset + 5]
    return not header.is_progressive and components == bytes((header.components,))


def iterate_segments(data: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment from `at` up to a scan's header, inclusive.

    Skips the bytes that libjpeg skips, so that both see the same segments.

    Raises:
        ImageRejectedError: the header is truncated or damaged.
    """
    while True:
        at = data.find(b"\xff", at) % (len(data) + 1)  # find's -1 becomes len(data)
        while data[at + 1 : at + 2] == b"\xff":
            at += 1
        if at + 4 > len(data):
            raise ImageRejectedError(
                "truncated", f"JPEG header ends at {len(data):,} bytes, before any scan"
            )
        marker = data[at + 1]
        if marker == 0:
            at += 2
            continue
        if marker in _MISPLACED_MARKERS:
            raise ImageRejectedError(
                "damaged", f"JPEG marker 0x{marker:02x} at {at:,}, before any scan"
            )
        end = at + 2 + (data[at + 2] << 8 | data[at + 3])
        if marker in _SOF_MARKERS and at + 10 <= len(data):
            yield marker, at, end  # before the length check: a wrong size is reported first
        if end > len(data):
            raise ImageRejectedError(
                "truncated", f"JPEG segment 0x{marker:02x} ends at {end:,} of {len(data):,} bytes"
            )
        if marker not in _SOF_MARKERS:
            yield marker, at, end
        if marker == SOS:
            return
        at = end


def read_jpeg_header(data: bytes, spec: PixelSpec) -> JpegHeader:
    """Read the header.

    Raises:
        ImageRejectedError: the header is incomplete, the kind of JPEG is not supported, or the size
            is outside the limits of `spec`.
    """
    height_px = width_px = components = frame = 0
    exif, scan_at = b"", 0
    for marker, start, end in iterate_segments(data):
        if marker in _SOF_MARKERS:
            frame, components = marker, data[start + 9]
            height_px = data[start + 5] << 8 | data[start + 6]
            width_px = data[start + 7] << 8 | data[start + 8]
            _check_frame(frame, data[start + 4], components, height_px)
            check_size(spec, width_px, height_px)
        elif marker == APP1 and data[start + 4 : start + 8] == b"Exif":
            exif = exif or data[start + 4 : end]  # the first block counts, as in image viewers
        elif marker == SOS:
            scan_at = start
    if not frame:
        raise ImageRejectedError("damaged", "JPEG scan without a frame header")
    orientation = read_orientation(exif)
    header = JpegHeader(height_px, width_px, components, frame, orientation, scan_at)
    _check_scans(data, header, spec)
    return header


def _check_frame(frame_marker: int, bits: int, components: int, height_px: int) -> None:
    if frame_marker not in _DECODABLE_FRAMES:
        raise ImageRejectedError(
            "unsupported", f"JPEG frame 0xff{frame_marker:02x} (lossless or hierarchical)"
        )
    if bits != 8:
        raise ImageRejectedError("unsupported", f"JPEG of {bits} bits a sample, 8 are decoded")
    if components not in (1, 3, 4):
        raise ImageRejectedError(
            "unsupported", f"JPEG of {components} components, 1, 3 and 4 are decoded"
        )
    if height_px == 0:
        raise ImageRejectedError("unsupported", "JPEG whose height follows its first scan (DNL)")


def _check_scans(data: bytes, header: JpegHeader, spec: PixelSpec) -> None:
    """Limit the number of scans: each takes a pass over the image, yet may be a few bytes long."""
    if has_one_scan(data, header):
        return
    if data.count(b"\xff\xda", header.scan_offset) <= spec.max_scans:
        return  # the bound is quick, but also counts what looks like a marker behind the end
    scans = _count_scans(data, header.scan_offset)
    if scans > spec.max_scans:
        raise ImageRejectedError("too_large", f"{scans:,} scans, max_scans is {spec.max_scans:,}")


def _count_scans(data: bytes, at: int) -> int:
    """Count the scans from the offset of the first SOS marker up to the end-of-image marker."""
    scans = 0
    while (found := MARKER_IN_SCAN.search(data, at)) and found[1][0] != EOI:
        scans += found[1][0] == SOS
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return scans
