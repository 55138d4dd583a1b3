"""Check WebP and PNM files: their length and the size of their picture.

Their decoders allocate memory before they check the size, or return part of a truncated file.
"""

from __future__ import annotations

import re

from halftone.config import PixelSpec
from halftone.images.orientation import read_orientation
from halftone.images.result import ImageRejectedError, check_size

_WEBP_ALPHA = 0x10


def check_webp(data: bytes, spec: PixelSpec) -> int:
    """Return the EXIF orientation, 1..8.

    Raises:
        ImageRejectedError: the file is truncated or damaged, or its size is outside the limits of
            `spec`.
    """
    exif, has_pixels, opaque = b"", False, True
    riff_end = 8 + int.from_bytes(data[4:8], "little")
    at = 12
    while at + 8 <= min(riff_end, len(data)):
        kind, body = data[at : at + 4], at + 8
        end = body + int.from_bytes(data[at + 4 : body], "little")
        size = _read_webp_size(kind, data[body : body + 10])
        if size:
            check_size(spec, *size)
        if end > riff_end or end > len(data):
            break
        has_pixels = has_pixels or kind in (b"VP8 ", b"VP8L", b"ANMF")
        if kind == b"VP8X":
            opaque = not data[body] & _WEBP_ALPHA
        elif kind == b"ALPH" and opaque:
            raise ImageRejectedError(
                "damaged", "WebP has an alpha chunk, but no alpha flag in its header"
            )
        if kind == b"EXIF":
            exif = exif or data[body:end]  # the first block counts, as in JPEG
        at = end + end % 2  # chunks are padded to even lengths
    if riff_end > len(data):
        raise ImageRejectedError(
            "truncated", f"WebP of {riff_end:,} bytes, {len(data):,} in the file"
        )
    if at < riff_end or not has_pixels:
        raise ImageRejectedError("damaged", f"WebP chunks end at {at:,} of {riff_end:,} bytes")
    return read_orientation(exif)


def _read_webp_size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    """(width, height) in px as stored in a chunk; None for a chunk without a size."""
    if kind == b"VP8X" and len(body) == 10:
        return (
            1 + int.from_bytes(body[4:7], "little"),
            1 + int.from_bytes(body[7:10], "little"),
        )
    if kind == b"VP8 " and len(body) == 10:
        return (
            int.from_bytes(body[6:8], "little") & 0x3FFF,
            int.from_bytes(body[8:10], "little") & 0x3FFF,
        )
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def check_pnm(data: bytes, spec: PixelSpec) -> None:
    """Check the number of samples in a plain (text) file; Pillow checks raw files strictly.

    Raises:
        ImageRejectedError: the file has too few or too many samples.
    """
    if data[1] not in b"123":
        return
    if not data[-1:].isspace():  # the last number may be truncated, such as 1 for 17
        raise ImageRejectedError(
            "truncated", f"plain PNM of {len(data):,} bytes without a final line break"
        )
    words = re.sub(rb"#[^\r\n]*", b" ", data).split()
    header_words = 3 if data[1] in b"1" else 4
    if len(words) < header_words or not all(word.isdigit() for word in words[1:header_words]):
        raise ImageRejectedError("damaged", f"PNM header of words {words[:header_words]}")
    width_px, height_px = int(words[1][:10]), int(words[2][:10])
    check_size(spec, width_px, height_px)
    # Bits (P1) may follow each other without a space.
    is_bitmap = header_words == 3
    num_samples = sum(map(len, words[3:])) if is_bitmap else len(words) - header_words
    expected = width_px * height_px * (3 if data[1] in b"3" else 1)
    if num_samples != expected:
        raise ImageRejectedError(
            "truncated" if num_samples < expected else "damaged",
            f"plain PNM of {num_samples:,} samples, its header requires {expected:,}",
        )
