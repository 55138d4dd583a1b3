"""Read the tags of a TIFF file's first directory; all offsets must lie within the file."""

from __future__ import annotations

import struct
from enum import IntEnum

from halftone.images.result import ImageRejectedError


class TiffTag(IntEnum):
    """The tags that are read; the TIFF 6.0 specification has the numbers."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIPS = 273
    ORIENTATION = 274
    SAMPLES = 277
    STRIP_ROWS = 278
    STRIP_BYTES = 279
    PLANAR = 284
    PREDICTOR = 317
    COLOUR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324
    TILE_BYTES = 325
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532


TiffTagValues = dict[int, tuple[int, ...]]
_KNOWN_TAGS = frozenset(TiffTag)
# Bytes of a value by type number; type 13 is an offset, 16 to 18 belong to BigTIFF.
_TYPE_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))
_TYPE_BYTES.update({16: 8, 17: 8, 18: 8})
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}
_INTEGER_FORMATS.update({16: "Q", 17: "q", 18: "Q"})
_UNDEFINED_BYTES = 7
_RATIONAL = 5
_RATIONAL_TAGS = (TiffTag.YCBCR_COEFFICIENTS, TiffTag.REFERENCE_BLACK_WHITE)


def byte_order(data: bytes) -> str:
    """Return the struct and NumPy sign of the file's byte order, "<" or ">"."""
    return "<" if data[:2] == b"II" else ">"


def read_tags(data: bytes) -> TiffTagValues:
    """Read the values of the known tags in the first directory, by tag.

    A fraction gives two values.

    Raises:
        ImageRejectedError: the directory or a value lies beyond the data, or a known tag is there
            twice or has values that are not whole numbers of 0 or more.
    """
    order = byte_order(data)
    is_big = 43 in data[2:4]  # BigTIFF: offsets and counts of 8 bytes
    word, entry_bytes, count_format = ("Q", 20, "Q") if is_big else ("I", 12, "H")
    word_bytes, count_bytes = (8, 8) if is_big else (4, 2)
    check_extent("header", 0, 16 if is_big else 8, data)
    (directory,) = struct.unpack_from(order + word, data, 8 if is_big else 4)
    check_extent("directory", directory, count_bytes, data)
    (num_entries,) = struct.unpack_from(order + count_format, data, directory)
    check_extent("directory", directory, count_bytes + num_entries * entry_bytes, data)
    tags: TiffTagValues = {}
    for i in range(num_entries):
        at = directory + count_bytes + i * entry_bytes
        tag, kind, count = struct.unpack_from(f"{order}HH{word}", data, at)
        value_bytes = _TYPE_BYTES.get(kind, 0) * count
        start = at + 4 + word_bytes
        if value_bytes > word_bytes:
            (start,) = struct.unpack_from(order + word, data, start)
            check_extent(f"tag {tag}", start, value_bytes, data)
        if tag not in _KNOWN_TAGS:
            continue
        number_format = _INTEGER_FORMATS.get(kind)
        if kind == _UNDEFINED_BYTES and tag == TiffTag.JPEG_TABLES:
            number_format = "B"
        elif kind == _RATIONAL and tag in _RATIONAL_TAGS:
            number_format, count = "I", 2 * count
        if tag in tags or not count or not number_format:  # TIFF readers disagree
            raise ImageRejectedError("damaged", f"TIFF tag {tag} twice, or not of whole numbers")
        values = struct.unpack_from(f"{order}{count}{number_format}", data, start)
        if min(values) < 0:
            raise ImageRejectedError("damaged", f"TIFF tag {tag} of value {min(values)}")
        tags[tag] = values
    return tags


def check_extent(part: str, start: int, size_bytes: int, data: bytes) -> None:
    """Raise ImageRejectedError for a part of the file that ends beyond its data."""
    if start + size_bytes > len(data):
        raise ImageRejectedError(
            "truncated", f"TIFF {part} ends at {start + size_bytes:,} of {len(data):,} bytes"
        )
