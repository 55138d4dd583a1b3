"""The boxes of HEIC, AVIF, JPEG 2000 and JPEG XL files (ISO base media file format, 14496-12).

A box has its length in 4 bytes, its type in 4 bytes, for length 1 a longer length in 8 more, and
its body. Length 0 is: up to the end of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from halftone.images.result import ImageRejectedError

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
# Brands of a structure, whatever the pictures are coded in.
_STRUCTURE_BRANDS = {b"mif1", b"mif2", b"msf1"}
_BOXES_OF_PIXELS = {b"mdat", b"jp2c", b"jxlc", b"jxlp"}


class Box(NamedTuple):
    kind: bytes
    start: int  # of its body
    end: int


def read_boxes(data: bytes, title: str, needed: bytes) -> Iterator[Box]:
    """Yield the boxes of the outermost level.

    Args:
        title: of the format, for messages.
        needed: the type of a box that every such file has. After it, what is no box is ignored.

    Raises:
        ImageRejectedError: a box ends after the file, or the one that is needed is missing.
    """
    is_found, at = False, 0
    while at < len(data):
        length, body, kind = int.from_bytes(data[at : at + 4], "big"), at + 8, data[at + 4 : at + 8]
        if length == 1:
            length, body = int.from_bytes(data[body : body + 8], "big"), at + 16
        end = len(data) if length == 0 else at + length
        if is_found and kind not in _BOXES_OF_PIXELS and (end < body or end > len(data)):
            return
        if max(body, end) > len(data):
            raise ImageRejectedError(
                "truncated",
                f"{title} with a box of {length:,} bytes at {at:,}, {len(data):,} in the file",
            )
        if end < body:
            raise ImageRejectedError("damaged", f"{title} with a box of {length} bytes at {at:,}")
        is_found = is_found or kind == needed
        yield Box(kind, body, end)
        at = end
    if not is_found:
        raise ImageRejectedError(
            "truncated", f"{title} without a box {needed.decode()}, {len(data):,} bytes"
        )


def check_still(data: bytes, title: str) -> None:
    """Check the boxes of a HEIC or AVIF file, and that it has a still picture.

    Raises:
        ImageRejectedError: the file is truncated or damaged, or has a sequence of pictures alone.
    """
    kinds = []
    try:
        for box in read_boxes(data, title, b"meta"):
            kinds.append(box.kind)
    except ImageRejectedError:
        if b"moov" in kinds:
            raise ImageRejectedError(
                "unsupported", f"{title} sequence without a still picture"
            ) from None
        raise


def find_still_kind(data: bytes) -> str:
    """Return heic, avif or "" for a file that begins with the box `ftyp`, by its brands."""
    if data[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(data[:4], "big"), len(data))
    major = data[8:12]
    brands = {major}
    if major in _STRUCTURE_BRANDS:
        brands |= {data[at : at + 4] for at in range(16, end - 3, 4)}
    if brands & _AVIF_BRANDS:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else ""
