"""Check the first directory of a TIFF file before libtiff, which reports errors to stderr only.

The checks: all offsets lie within the file; the size of the page and of its tiles is allowed; there
are enough strips or tiles, and bytes in them, for the picture (Pillow leaves the rest black).
"""

from __future__ import annotations

import struct
from enum import IntEnum

from halftone.config import PixelSpec
from halftone.images.result import ImageRejectedError, check_size


class TiffTag(IntEnum):
    """The tags that are read; the TIFF 6.0 specification has the numbers."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIPS = 273
    SAMPLES = 277
    STRIP_ROWS = 278
    STRIP_BYTES = 279
    PLANAR = 284
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324
    TILE_BYTES = 325


TiffTagValues = dict[int, tuple[int, ...]]
_KNOWN_TAGS = frozenset(TiffTag)
_REQUIRED_TAGS = {TiffTag.WIDTH, TiffTag.HEIGHT, TiffTag.COMPRESSION, TiffTag.PHOTOMETRIC}
# Bytes of a value by type number; type 13 is an offset, 16 to 18 belong to BigTIFF.
_TYPE_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))
_TYPE_BYTES.update({16: 8, 17: 8, 18: 8})
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_UNCOMPRESSED = 1
# libtiff only logs damage in these to stderr, and returns the picture as complete.
_FAX_COMPRESSIONS = (2, 3, 4)
_YCBCR_PHOTOMETRIC = 6


def check_tiff(data: bytes, spec: PixelSpec) -> None:
    """Check the first page.

    Raises:
        ImageRejectedError: its directory, values or strips lie beyond the data or do not fill the
            picture, or its size or that of its tiles is outside the limits of `spec`.
    """
    tags = _read_tags(data)
    check_size(spec, _first_value(tags, TiffTag.WIDTH, 0), _first_value(tags, TiffTag.HEIGHT, 0))
    tile_width_px, tile_height_px = (
        _first_value(tags, TiffTag.TILE_WIDTH, 1),
        _first_value(tags, TiffTag.TILE_HEIGHT, 1),
    )
    if tile_width_px * tile_height_px > spec.max_pixels:  # libtiff allocates a whole tile
        check_size(spec, tile_width_px, tile_height_px)
    missing = sorted(tag.name for tag in _REQUIRED_TAGS if tag not in tags)
    if missing:
        raise ImageRejectedError("damaged", f"TIFF directory lacks {', '.join(missing)}")
    if _first_value(tags, TiffTag.COMPRESSION, _UNCOMPRESSED) in _FAX_COMPRESSIONS:
        raise ImageRejectedError(
            "unsupported", f"TIFF of fax compression {_first_value(tags, TiffTag.COMPRESSION, 0)}"
        )
    tiled = TiffTag.TILES in tags
    starts = tags.get(TiffTag.TILES if tiled else TiffTag.STRIPS, ())
    sizes = tags.get(TiffTag.TILE_BYTES if tiled else TiffTag.STRIP_BYTES, ())
    _check_strips(tags, tiled, len(starts), sizes)
    for start, size in zip(starts, sizes):
        _check_extent("strip or tile", start, size, data)


def _check_strips(tags: TiffTagValues, tiled: bool, num_parts: int, sizes: tuple[int, ...]) -> None:
    """Check that there are enough strips or tiles, and enough bytes in uncompressed ones.

    Raises:
        ImageRejectedError: there are not.
    """
    width_px, height_px = tags[TiffTag.WIDTH][0], tags[TiffTag.HEIGHT][0]
    part_width_px, part_height_px = width_px, _first_value(tags, TiffTag.STRIP_ROWS, height_px)
    if tiled:
        part_width_px = _first_value(tags, TiffTag.TILE_WIDTH, 0)
        part_height_px = _first_value(tags, TiffTag.TILE_HEIGHT, 0)
    samples, planar = _first_value(tags, TiffTag.SAMPLES, 1), _first_value(tags, TiffTag.PLANAR, 1)
    if part_width_px < 1 or part_height_px < 1 or planar not in (1, 2):
        raise ImageRejectedError("damaged", f"TIFF parts of {part_width_px} x {part_height_px} px")
    planes = samples if planar == 2 else 1
    across, down = -(-width_px // part_width_px), -(-height_px // part_height_px)
    needed = across * down * planes
    if num_parts < needed or len(sizes) != num_parts:
        raise ImageRejectedError(
            "damaged", f"TIFF of {needed} strips or tiles has {num_parts}, {len(sizes)} sizes"
        )
    is_raw = _first_value(tags, TiffTag.COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
    # YCbCr is not checked: its chroma may be stored at half size.
    if is_raw and tags[TiffTag.PHOTOMETRIC][0] != _YCBCR_PHOTOMETRIC:
        bits = _first_value(tags, TiffTag.BITS, 1) * (samples // planes)
        rows = down * part_height_px if tiled else height_px
        needed_bytes = planes * across * rows * ((part_width_px * bits + 7) // 8)
        if sum(sizes) < needed_bytes:
            raise ImageRejectedError(
                "truncated", f"TIFF rows take {needed_bytes:,} bytes, strips hold {sum(sizes):,}"
            )


def _first_value(tags: TiffTagValues, tag: TiffTag, default: int) -> int:
    return tags.get(tag, (default,))[0]


def _read_tags(data: bytes) -> TiffTagValues:
    """Read the integer values of the first directory, by tag."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = 43 in data[2:4]  # BigTIFF: offsets and counts of 8 bytes
    word, entry_bytes, count_format = ("Q", 20, "Q") if is_big else ("I", 12, "H")
    word_bytes, count_bytes = (8, 8) if is_big else (4, 2)
    _check_extent("header", 0, 16 if is_big else 8, data)
    (directory,) = struct.unpack_from(order + word, data, 8 if is_big else 4)
    _check_extent("directory", directory, count_bytes, data)
    (num_entries,) = struct.unpack_from(order + count_format, data, directory)
    _check_extent("directory", directory, count_bytes + num_entries * entry_bytes, data)
    tags: TiffTagValues = {}
    for i in range(num_entries):
        at = directory + count_bytes + i * entry_bytes
        tag, kind, count = struct.unpack_from(f"{order}HH{word}", data, at)
        value_bytes = _TYPE_BYTES.get(kind, 0) * count
        start = at + 4 + word_bytes
        if value_bytes > word_bytes:
            (start,) = struct.unpack_from(order + word, data, start)
            _check_extent(f"tag {tag}", start, value_bytes, data)
        if tag in _KNOWN_TAGS:
            if tag in tags or not count or kind not in _INTEGER_FORMATS:  # TIFF readers disagree
                raise ImageRejectedError(
                    "damaged", f"TIFF tag {tag} twice, or not of whole numbers"
                )
            tags[tag] = struct.unpack_from(f"{order}{count}{_INTEGER_FORMATS[kind]}", data, start)
    return tags


def _check_extent(part: str, start: int, size_bytes: int, data: bytes) -> None:
    if start + size_bytes > len(data):
        raise ImageRejectedError(
            "truncated", f"TIFF {part} ends at {start + size_bytes:,} of {len(data):,} bytes"
        )
