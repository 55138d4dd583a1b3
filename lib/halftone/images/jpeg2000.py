"""Check JPEG 2000 files, and decode them with Pillow (OpenJPEG).

OpenCV's wheel has OpenJPEG too, and of files that were cut or had bits flipped both reject the same
(docs/reference/images.md); but OpenCV prints to stderr, and ignores alpha that is not the fourth
component. JPEG 2000 has no rotation.
"""

from __future__ import annotations

from typing import NamedTuple

from halftone.config import PixelSpec
from halftone.images.iso_boxes import read_boxes
from halftone.images.pillow_reader import load_pixels
from halftone.images.result import ImageRejectedError, PixelArray, check_size

CONTAINER_MAGIC = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM_MAGIC = b"\xff\x4f\xff\x51"
_SIZ_BYTES = 42  # up to the components, with the two markers
_MAX_COMPONENTS = 4
_START_OF_TILE, _END = b"\xff\x90", b"\xff\xd9"
_TILE_BYTES = 12


class _Component(NamedTuple):
    bits: int
    is_signed: bool
    step_x: int
    step_y: int


def decode_jpeg2000(data: bytes, spec: PixelSpec) -> PixelArray:
    """Decode to (h, w, 1, 3 or 4) uint8.

    It has no checksum, so a flipped bit in the coded pixels may change them unnoticed.

    Raises:
        ImageRejectedError: the image cannot be used.
    """
    codestream = _extract_codestream(data)
    if len(codestream) < _SIZ_BYTES:
        raise ImageRejectedError("truncated", f"JPEG 2000 of {len(data):,} bytes")
    if not codestream.startswith(CODESTREAM_MAGIC):
        raise ImageRejectedError("damaged", "JPEG 2000 codestream without its first marker")
    right, bottom, left, top = (_uint32(codestream, at) for at in (8, 12, 16, 20))
    if left > right or top > bottom:
        raise ImageRejectedError("damaged", "JPEG 2000 whose picture ends before it begins")
    check_size(spec, right - left, bottom - top)
    _check_components(codestream)
    _check_end(codestream)
    return load_pixels(data, "jpeg2000", spec)


def _extract_codestream(data: bytes) -> bytes:
    if data.startswith(CODESTREAM_MAGIC):
        return data
    for box in read_boxes(data, "JPEG 2000", b"jp2c"):
        if box.kind == b"jp2c":
            return data[box.start : box.end]
    raise AssertionError("read_boxes finds the box that is needed")


def _check_components(codestream: bytes) -> None:
    count = int.from_bytes(codestream[40:42], "big")
    if not 1 <= count <= _MAX_COMPONENTS:
        raise ImageRejectedError("unsupported", f"JPEG 2000 of {count:,} components")
    if len(codestream) < _SIZ_BYTES + 3 * count:
        raise ImageRejectedError("truncated", f"JPEG 2000 codestream of {len(codestream)} bytes")
    components = [
        _Component((size & 0x7F) + 1, size > 0x7F, step_x, step_y)
        for size, step_x, step_y in (
            codestream[at : at + 3] for at in range(_SIZ_BYTES, _SIZ_BYTES + 3 * count, 3)
        )
    ]
    first = components[0]
    if any(each != first for each in components):
        raise ImageRejectedError("unsupported", "JPEG 2000 of different components")
    if not 8 <= first.bits <= 16 or first.is_signed:
        sign = "signed" if first.is_signed else "unsigned"
        raise ImageRejectedError(
            "unsupported", f"JPEG 2000 of {first.bits} bits, {sign}; 8 to 16, unsigned, are decoded"
        )
    if (first.step_x, first.step_y) != (1, 1):
        raise ImageRejectedError("unsupported", "JPEG 2000 of reduced components")


def _check_end(codestream: bytes) -> None:
    """Follow the parts of tiles to the end marker: a part may be as long as the file happens to be.

    Raises:
        ImageRejectedError: a part ends after the codestream, or the end marker is missing.
    """
    at = 2
    while codestream[at : at + 2] != _END:
        is_tile = codestream[at : at + 2] == _START_OF_TILE
        if at + _TILE_BYTES > len(codestream):
            raise ImageRejectedError(
                "truncated", f"JPEG 2000 codestream that ends at {len(codestream):,}"
            )
        if is_tile:
            length = _uint32(codestream, at + 6) or len(codestream) - len(_END) - at
        else:
            length = 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
        if length < 4 or codestream[at] != 0xFF:
            raise ImageRejectedError("damaged", f"JPEG 2000 without a marker at {at:,}")
        at += length


def _uint32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
