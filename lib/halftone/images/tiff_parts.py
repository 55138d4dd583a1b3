"""Decompress the strips or tiles of a TIFF page to 8-bit samples.

Pillow's raw modes cover some combinations of bits, planes, byte order and bit order, and err in
others, so the samples are unpacked here. libtiff only undoes LZW.
"""

from __future__ import annotations

import ctypes
import io
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, _imaging

from halftone.config import PixelSpec
from halftone.images.result import ImageRejectedError, PixelArray
from halftone.images.tiff_jpeg import decode_part
from halftone.images.tiff_page import Compression, Photometric, TiffPage

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_UNPACKED_BITS_AT_ONCE = 1 << 23


def _silence_libtiff() -> None:
    """Let Pillow's libtiff print no errors of damaged files; Pillow still raises OSError for them.

    Pillow turns off libtiff's warnings only. The library is looked up among those that Pillow's
    module is linked with, so that it is the same copy; a Pillow that hides it prints as before.
    """
    pillow_library = ctypes.CDLL(_imaging.__file__)
    if hasattr(pillow_library, "TIFFSetErrorHandler"):
        pillow_library.TIFFSetErrorHandler(None)


_silence_libtiff()


def read_samples(data: bytes, page: TiffPage, spec: PixelSpec) -> PixelArray:
    """Decode to (h, w, samples) uint8.

    Samples are scaled to 0..255, those of more than 8 bits lose their lower bits; the indices of a
    palette stay as stored; YCbCr becomes RGB.

    Raises:
        ImageRejectedError: a strip or tile is damaged.
    """
    samples = np.empty((page.height_px, page.width_px, page.samples), np.uint8)
    for i, part in _decode_parts(data, page, spec):
        plane, top, left = page.part_place(i)
        target = samples[top : top + page.part_height_px, left : left + page.part_width_px]
        if page.planes > 1:
            target = target[..., plane : plane + 1]
        target[:] = part[: target.shape[0], : target.shape[1]]
    return samples


def _decode_parts(data: bytes, page: TiffPage, spec: PixelSpec) -> Iterator[tuple[int, PixelArray]]:
    """Yield (number of the part, (rows, part_width_px, samples of the part) uint8)."""
    by_rows: dict[int, list[int]] = defaultdict(list)  # only the last strips differ
    for i in range(len(page.parts)):
        by_rows[page.part_rows(i)].append(i)
    for rows, numbers in by_rows.items():
        packed = (_packed_part(data, page, i) for i in numbers)
        num_bytes = page.part_bytes(rows)
        if page.compression == Compression.JPEG:
            yield from (
                (i, decode_part(part, page, rows, spec)) for i, part in zip(numbers, packed)
            )
            continue
        if page.compression == Compression.LZW:
            unpacked = _undo_lzw(list(packed), num_bytes)
        elif page.compression == Compression.NONE:
            unpacked = (part[:num_bytes] for part in packed)
        else:
            undo = _undo_packbits if page.compression == Compression.PACKBITS else _inflate
            unpacked = (undo(part, num_bytes) for part in packed)
        yield from ((i, _unpack(raw, page)) for i, raw in zip(numbers, unpacked))


def _packed_part(data: bytes, page: TiffPage, number: int) -> bytes:
    start, size = page.parts[number]
    part = data[start : start + size]
    return part.translate(_REVERSED_BITS) if page.is_bit_reversed else part


def _inflate(packed: bytes, num_bytes: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, num_bytes)
        if not inflater.eof:
            inflater.decompress(inflater.unconsumed_tail, 1)  # checks the checksum
    except zlib.error as error:
        raise ImageRejectedError("damaged", f"TIFF strip or tile: {error}") from None
    if len(raw) < num_bytes:
        raise ImageRejectedError(
            "damaged", f"TIFF strip or tile inflates to {len(raw):,} bytes of {num_bytes:,}"
        )
    return raw


def _undo_packbits(packed: bytes, num_bytes: int) -> bytes:
    try:
        return Image.frombytes("L", (num_bytes, 1), packed, "packbits", "L").tobytes()
    except ValueError as error:  # too few bytes
        raise ImageRejectedError("damaged", f"TIFF strip or tile: {error}") from None


def _undo_lzw(packed: Sequence[bytes], num_bytes: int) -> Iterator[bytes]:
    """Decompress parts of `num_bytes` each, as the rows of one grey TIFF made for libtiff."""
    sizes = [len(part) for part in packed]
    body_at = 8 + 8 * len(packed)
    starts = np.cumsum([body_at, *sizes[:-1]]).tolist()
    tables = struct.pack(f"<{2 * len(packed)}I", *starts, *sizes)
    body = b"".join(packed) + b"\0" * (sum(sizes) % 2)
    single = len(packed) == 1  # one value stands in the directory itself
    entries = (
        (256, 1, num_bytes),
        (257, 1, len(packed)),
        (258, 1, 8),
        (259, 1, Compression.LZW),
        (262, 1, Photometric.BLACK_IS_ZERO),
        (273, len(packed), starts[0] if single else 8),
        (277, 1, 1),
        (278, 1, 1),
        (279, len(packed), sizes[0] if single else 8 + 4 * len(packed)),
    )
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, count, value) for tag, count, value in entries
    )
    header = struct.pack("<4sI", b"II*\0", body_at + len(body))
    file = io.BytesIO(b"".join((header, tables, body, directory, bytes(4))))
    try:
        with Image.open(file, formats=("TIFF",)) as image:
            rows = np.asarray(image)
    except OSError:
        raise ImageRejectedError(
            "damaged", f"TIFF strip or tile: LZW does not give {num_bytes:,} bytes"
        ) from None
    yield from (row.tobytes() for row in rows)


def _unpack(raw: bytes, page: TiffPage) -> PixelArray:
    """The bytes of a part -> (rows, part_width_px, samples of the part) uint8."""
    if page.photometric == Photometric.YCBCR:
        return _convert_ycbcr(raw, page)
    shape = (-1, page.part_width_px, page.samples_of_part)
    if page.bits == 8:
        samples = np.frombuffer(raw, np.uint8).reshape(shape)
        return np.cumsum(samples, axis=1, dtype=np.uint8) if page.has_predictor else samples
    if page.bits == 16:
        deep = np.frombuffer(raw, f"{page.byte_order}u2").reshape(shape)
        if page.has_predictor:
            deep = np.cumsum(deep, axis=1, dtype=np.uint16)
        return (deep >> 8).astype(np.uint8)
    rows = np.frombuffer(raw, np.uint8).reshape(-1, page.part_row_bytes)
    rows_at_once = max(1, _UNPACKED_BITS_AT_ONCE // (8 * page.part_row_bytes))
    blocks = [
        _unpack_bits(rows[top : top + rows_at_once], page)
        for top in range(0, len(rows), rows_at_once)
    ]
    return np.concatenate(blocks).reshape(shape)


def _convert_ycbcr(raw: bytes, page: TiffPage) -> PixelArray:
    """The bytes of a part -> (rows, part_width_px, 3) RGB; rows may go beyond the part's end.

    They are stored in blocks: the luma of columns x rows pixels, then one Cb and one Cr for all.
    """
    columns, rows = page.chroma_step_px
    across = -(-page.part_width_px // columns)
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, across, columns * rows + 2)
    luma = blocks[..., :-2].reshape(-1, across, rows, columns).swapaxes(1, 2)
    chroma = blocks[..., -2:].repeat(rows, axis=0).repeat(columns, axis=1)
    ycbcr = np.dstack([luma.reshape(chroma.shape[:2]), chroma])
    image = Image.frombytes("YCbCr", (ycbcr.shape[1], ycbcr.shape[0]), ycbcr.tobytes())
    return np.asarray(image.convert("RGB"))[:, : page.part_width_px]


def _unpack_bits(rows: PixelArray, page: TiffPage) -> PixelArray:
    """(rows, bytes of a row) -> (rows, samples of a row): the first sample in the highest bits."""
    num_samples = page.part_width_px * page.samples_of_part
    bits = np.unpackbits(rows, axis=1)[:, : num_samples * page.bits]
    values: npt.NDArray[np.uint16] = np.zeros((len(rows), num_samples), np.uint16)
    for i in range(page.bits):
        np.left_shift(values, 1, out=values)
        np.bitwise_or(values, bits[:, i :: page.bits], out=values)
    if page.photometric == Photometric.PALETTE:
        return values.astype(np.uint8)
    if page.bits > 8:
        return (values >> (page.bits - 8)).astype(np.uint8)
    max_value = (1 << page.bits) - 1
    return ((values * 255 + max_value // 2) // max_value).astype(np.uint8)
