"""Check the chunks of a PNG file, and extract those that the decoder needs.

Checksums, the amount of pixel data and the end chunk are checked here, because decoders ignore some
of them: Pillow leaves pixels black that a short stream does not fill. The decoder then gets the
critical chunks only, so that no text, colour profile or animation can make it fail.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Optional

from halftone.config import PixelSpec
from halftone.images.orientation import read_orientation
from halftone.images.result import ImageRejectedError, check_size

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PALETTE_COLOUR_TYPE = 3
_SAMPLES_PER_PX = {0: 1, 2: 3, _PALETTE_COLOUR_TYPE: 1, 4: 2, 6: 4}  # by colour type
_VALID_BIT_DEPTHS = {
    0: (1, 2, 4, 8, 16),
    2: (8, 16),
    _PALETTE_COLOUR_TYPE: (1, 2, 4, 8),
    4: (8, 16),
    6: (8, 16),
}
# (first column, first row, column step, row step) of each pass over the picture.
_ONE_PASS = ((0, 0, 1, 1),)
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_DEEP_BITS = 16
_HEADER_BYTES = 13
_INFLATE_CHUNK_BYTES = 1 << 20  # inflated at a time


class CheckedPng(NamedTuple):
    critical_data: bytes  # the file, with critical chunks (and a palette's tRNS) only
    orientation: int  # 1..8, from eXIf
    bits: int  # of each sample
    transparent_colour: Optional[tuple[int, ...]]  # grey or RGB samples of `bits` bits


class _PngHeader(NamedTuple):
    width_px: int
    height_px: int
    bits: int
    colour_type: int
    compression: int
    filtering: int
    interlace: int


def read_png(data: bytes, spec: PixelSpec) -> CheckedPng:
    """Check the file and extract its critical chunks.

    Raises:
        ImageRejectedError: a chunk is truncated, a checksum is wrong, the pixel data does not fill
            the picture, or the size is outside the limits of `spec`.
    """
    header = _read_header(data, spec)
    critical_parts, compressed_parts = [PNG_SIGNATURE], []
    exif, transparency, palette = b"", b"", b""
    for kind, start, end, is_intact in iterate_chunks(data):
        if kind == b"IHDR" and start > len(PNG_SIGNATURE):
            raise ImageRejectedError("damaged", f"PNG has a second header (IHDR), at {start:,}")
        is_needed = kind in _CRITICAL_CHUNKS or kind == b"tRNS"
        if is_needed and not is_intact:
            raise ImageRejectedError(
                "damaged", f"PNG chunk {kind.decode()} at {start:,}: wrong checksum"
            )
        if kind == b"IDAT":
            compressed_parts.append(data[start + 8 : end - 4])
        elif kind == b"PLTE":
            palette = data[start + 8 : end - 4]
        if kind in _CRITICAL_CHUNKS or (
            kind == b"tRNS" and header.colour_type == _PALETTE_COLOUR_TYPE
        ):
            critical_parts.append(data[start:end])
        elif kind == b"tRNS":
            transparency = data[start + 8 : end - 4]
        elif kind == b"eXIf" and is_intact:
            exif = exif or data[start + 8 : end - 4]  # the first block counts, as in JPEG
        elif not kind[0] & 0x20:  # an upper case first letter marks a critical chunk
            raise ImageRejectedError("unsupported", f"PNG with critical chunk {kind!r}")
    _check_palette(palette, header)
    pixel_bytes = _count_inflated_bytes(header)
    _check_inflated_size(compressed_parts, pixel_bytes)
    transparent_colour = _read_transparent_colour(transparency, header)
    orientation = read_orientation(exif)
    critical_data = b"".join(critical_parts)
    if transparent_colour is not None and header.bits == _DEEP_BITS:
        critical_data = _without_excess(data, compressed_parts, pixel_bytes)
    return CheckedPng(critical_data, orientation, header.bits, transparent_colour)


def _without_excess(data: bytes, compressed_parts: list[bytes], num_bytes: int) -> bytes:
    """Return the file with its header and the `num_bytes` of its pixels only.

    `stills` decodes these files with OpenCV, whose libpng prints warnings of more bytes than that,
    of a wrong palette and others to the terminal.
    """
    pixel_data = zlib.decompressobj().decompress(b"".join(compressed_parts), num_bytes)
    ihdr = data[len(PNG_SIGNATURE) + 8 : len(PNG_SIGNATURE) + 8 + _HEADER_BYTES]
    chunks = ((b"IHDR", ihdr), (b"IDAT", zlib.compress(pixel_data, 1)), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _read_header(data: bytes, spec: PixelSpec) -> _PngHeader:
    if len(data) < 33:
        raise ImageRejectedError("truncated", f"PNG of {len(data)} bytes, the header takes 33")
    if data[12:16] == b"CgBI":
        raise ImageRejectedError("unsupported", "PNG in Apple's variant for iOS (CgBI)")
    if data[12:16] != b"IHDR":
        raise ImageRejectedError("damaged", f"PNG starts with chunk {data[12:16]!r}, not IHDR")
    header = _PngHeader(*struct.unpack_from(">IIBBBBB", data, 16))
    check_size(spec, header.width_px, header.height_px)
    known = header.bits in _VALID_BIT_DEPTHS.get(header.colour_type, ()) and header.interlace < 2
    if not known or header.compression or header.filtering:
        raise ImageRejectedError("damaged", f"invalid PNG header: {tuple(header)}")
    return header


def iterate_chunks(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Yield (kind, start, end, whether the checksum is right) of each chunk, including IEND."""
    view = memoryview(data)
    start, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        end = start + 12
        if end <= len(data):
            end += int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            raise ImageRejectedError(
                "truncated", f"PNG chunk ends at {end:,} of {len(data):,} bytes"
            )
        kind = data[start + 4 : start + 8]
        checksum = int.from_bytes(data[end - 4 : end], "big")
        yield kind, start, end, zlib.crc32(view[start + 4 : end - 4]) == checksum
        start = end


def _count_inflated_bytes(header: _PngHeader) -> int:
    """Bytes of the inflated picture: each row of each pass with its filter byte."""
    bits_per_px = header.bits * _SAMPLES_PER_PX[header.colour_type]
    total = 0
    for left, top, column_step, row_step in _ADAM7 if header.interlace else _ONE_PASS:
        columns = (header.width_px - left + column_step - 1) // column_step
        rows = (header.height_px - top + row_step - 1) // row_step
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits_per_px + 7) // 8)
    return total


def _check_inflated_size(compressed_parts: list[bytes], expected_bytes: int) -> None:
    """Check that the stream inflates to `expected_bytes`; one that ends there has a right checksum.

    Raises:
        ImageRejectedError: it does not.
    """
    inflater, total_bytes = zlib.decompressobj(), 0
    try:
        for part in compressed_parts:
            while part and total_bytes <= expected_bytes and not inflater.eof:
                total_bytes += len(inflater.decompress(part, _INFLATE_CHUNK_BYTES))
                part = inflater.unconsumed_tail
    except zlib.error as error:
        raise ImageRejectedError("damaged", f"PNG pixel data: {error}") from None
    # More bytes than that are not read by any decoder, so that they change no pixel.
    if total_bytes < expected_bytes or (total_bytes == expected_bytes and not inflater.eof):
        verb = "ends at" if inflater.eof else "ends not at"
        raise ImageRejectedError(
            "damaged",
            f"PNG pixel data {verb} {total_bytes:,} bytes, its header requires {expected_bytes:,}",
        )


def _read_transparent_colour(transparency: bytes, header: _PngHeader) -> Optional[tuple[int, ...]]:
    """Read tRNS of a grey (2 bytes) or RGB (6 bytes) image, as samples of the file's own depth."""
    samples = {0: 1, 2: 3}.get(header.colour_type)
    if samples is None or len(transparency) < 2 * samples:
        return None
    max_value = (1 << header.bits) - 1
    return tuple(value & max_value for value in struct.unpack_from(f">{samples}H", transparency))


def _check_palette(palette: bytes, header: _PngHeader) -> None:
    if header.colour_type == _PALETTE_COLOUR_TYPE and (not palette or len(palette) % 3):
        raise ImageRejectedError("damaged", f"PNG palette of {len(palette)} bytes")
