"""Decode BMP: all depths, bit fields and run lengths, without colour spaces.

Pillow returns pixels that no run fills as black, takes an alpha channel of zeros for a picture that
cannot be seen, and knows few layouts of bit fields.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from halftone.config import PixelSpec
from halftone.images.bmp_runs import unpack_runs
from halftone.images.result import ImageRejectedError, PixelArray, check_size

_OS2_1_HEADER_BYTES, _OS2_2_SHORT_HEADER_BYTES, _OS2_2_HEADER_BYTES = 12, 16, 64
_WITH_MASKS_HEADER_BYTES, _WITH_ALPHA_MASK_HEADER_BYTES = 52, 56
_RAW, _RLE8, _RLE4, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 1, 2, 3, 6
_RUN_LENGTH_BITS = {_RLE8: 8, _RLE4: 4}
_PALETTE_BITS = (1, 2, 4, 8)
_NO_ALPHA = 0
_DEFAULT_MASKS = {
    16: (0x7C00, 0x3E0, 0x1F, _NO_ALPHA),
    24: (0xFF0000, 0xFF00, 0xFF, _NO_ALPHA),
    32: (0xFF0000, 0xFF00, 0xFF, _NO_ALPHA),
}
_WHOLE_BYTES = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
_MASKS_IF_ALL_ARE_ZERO = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


class _BmpHeader(NamedTuple):
    width_px: int
    height_px: int
    is_top_down: bool
    bits: int
    compression: int
    palette_at: int
    palette_entry_bytes: int
    palette_colours: int
    masks: tuple[int, ...]  # of red, green, blue and alpha
    rows_at: int


def decode_bmp(data: bytes, spec: PixelSpec) -> PixelArray:
    """Decode to (h, w, 3) RGB or (h, w, 4) RGBA, uint8.

    An alpha channel that is 0 everywhere is ignored, because programs that do not know alpha leave
    it unset.

    Raises:
        ImageRejectedError: the file is truncated, damaged or of a variant that is not decoded, or
            its size is outside the limits of `spec`.
    """
    header = _read_header(data, spec)
    if header.bits in _PALETTE_BITS:
        pixels = _look_up(_read_indices(data, header), data, header)
    else:
        pixels = _unmask(_read_rows(data, header), header)
    return pixels if header.is_top_down else pixels[::-1]


def _read_header(data: bytes, spec: PixelSpec) -> _BmpHeader:
    header_bytes = data[14]
    fields_end = {_OS2_1_HEADER_BYTES: 26, _OS2_2_SHORT_HEADER_BYTES: 30}.get(header_bytes, 54)
    if len(data) < max(fields_end, 14 + header_bytes):
        raise ImageRejectedError("truncated", f"BMP header ends at {len(data)} bytes")
    compression = colours = 0
    if header_bytes == _OS2_1_HEADER_BYTES:
        width_px, height_px, _, bits = struct.unpack_from("<4H", data, 18)
    else:
        width_px, height_px, _, bits = struct.unpack_from("<2i2H", data, 18)
        if header_bytes != _OS2_2_SHORT_HEADER_BYTES:
            (compression,) = struct.unpack_from("<I", data, 30)
            (colours,) = struct.unpack_from("<I", data, 46)
    check_size(spec, width_px, abs(height_px))
    is_os2 = header_bytes == _OS2_2_HEADER_BYTES
    known = (_RAW, _RLE8, _RLE4) + (() if is_os2 else (_BIT_FIELDS, _ALPHA_BIT_FIELDS))
    if compression not in known or bits not in (*_PALETTE_BITS, *_DEFAULT_MASKS):
        raise ImageRejectedError(
            "unsupported", f"BMP of compression {compression}, {bits} bits, header {header_bytes}"
        )
    if _RUN_LENGTH_BITS.get(compression, bits) != bits:
        raise ImageRejectedError("damaged", f"BMP of run lengths {compression}, {bits} bits")
    palette_at = 14 + header_bytes
    masks: tuple[int, ...] = _DEFAULT_MASKS.get(bits, ())
    if compression in (_BIT_FIELDS, _ALPHA_BIT_FIELDS):
        num_masks = 4 if compression == _ALPHA_BIT_FIELDS else 3
        if header_bytes >= _WITH_MASKS_HEADER_BYTES:
            num_masks = 4 if header_bytes >= _WITH_ALPHA_MASK_HEADER_BYTES else 3
        else:
            palette_at += 4 * num_masks
        masks = _read_masks(data, num_masks, bits)
    entry_bytes = 3 if header_bytes == _OS2_1_HEADER_BYTES else 4
    rows_at, colours = _locate_rows(data, bits, colours, palette_at, entry_bytes)
    return _BmpHeader(
        width_px,
        abs(height_px),
        height_px < 0,
        bits,
        compression,
        palette_at,
        entry_bytes,
        colours,
        masks,
        rows_at,
    )


def _locate_rows(
    data: bytes, bits: int, colours: int, palette_at: int, entry_bytes: int
) -> tuple[int, int]:
    """Return the offset of the rows, and the number of colours in the palette before them."""
    rows_at = int.from_bytes(data[10:14], "little")
    if bits not in _PALETTE_BITS:
        colours = 0  # a palette is only a hint for displays
    elif not colours:
        colours = 1 << bits
        if rows_at:  # some writers store fewer without saying so
            colours = max(0, min(colours, (rows_at - palette_at) // entry_bytes))
    palette_end = palette_at + colours * entry_bytes
    rows_at = rows_at or palette_end
    if palette_end > rows_at:
        raise ImageRejectedError(
            "damaged", f"BMP palette of {colours:,} colours ends at {palette_end:,} of {rows_at:,}"
        )
    return rows_at, colours


def _read_masks(data: bytes, num_masks: int, bits: int) -> tuple[int, ...]:
    if len(data) < 54 + 4 * num_masks:
        raise ImageRejectedError("truncated", f"BMP bit fields end at {len(data)} bytes")
    masks = (*struct.unpack_from(f"<{num_masks}I", data, 54), _NO_ALPHA)[:4]
    if bits == 32 and not any(masks):
        return _MASKS_IF_ALL_ARE_ZERO
    fields = [bin(mask)[2:].rstrip("0") for mask in masks]
    overlap = sum(masks) != masks[0] | masks[1] | masks[2] | masks[3]
    if not all(masks[:3]) or any("0" in field for field in fields) or overlap:
        raise ImageRejectedError(
            "damaged", f"BMP of bit fields {', '.join(f'{mask:#x}' for mask in masks)}"
        )
    return masks


def _read_rows(data: bytes, header: _BmpHeader) -> PixelArray:
    """(h, bytes of a row) uint8; rows take a multiple of 4 bytes."""
    row_bytes = (header.width_px * header.bits + 31) // 32 * 4
    end = header.rows_at + row_bytes * header.height_px
    if end > len(data):
        raise ImageRejectedError("truncated", f"BMP rows end at {end:,} of {len(data):,} bytes")
    rows = np.frombuffer(data, np.uint8, row_bytes * header.height_px, header.rows_at)
    return rows.reshape(header.height_px, row_bytes)


def _read_indices(data: bytes, header: _BmpHeader) -> PixelArray:
    """(h, w) uint8: palette indices."""
    width_px, height_px, bits = header.width_px, header.height_px, header.bits
    if header.compression != _RAW:
        runs = memoryview(data)[header.rows_at :]
        unpacked = unpack_runs(runs, bits, width_px, height_px)
        return np.frombuffer(unpacked, np.uint8).reshape(height_px, width_px)
    rows = _read_rows(data, header)
    if bits < 8:
        shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        max_index = np.uint8((1 << bits) - 1)
        rows = np.asarray(rows[..., None] >> shifts & max_index, np.uint8).reshape(height_px, -1)
    return rows[:, :width_px]


def _look_up(indices: PixelArray, data: bytes, header: _BmpHeader) -> PixelArray:
    largest = int(indices.max())
    if largest >= header.palette_colours:
        raise ImageRejectedError(
            "damaged", f"BMP pixel of colour {largest}, its palette has {header.palette_colours}"
        )
    size = header.palette_colours * header.palette_entry_bytes
    entries = np.frombuffer(data, np.uint8, size, header.palette_at)
    palette = entries.reshape(-1, header.palette_entry_bytes)[:, 2::-1]  # stored as blue first
    return np.take(palette, indices, axis=0)


def _unmask(rows: PixelArray, header: _BmpHeader) -> PixelArray:
    """(h, bytes of a row) of 16, 24 or 32 bits -> (h, w, 3 or 4) uint8."""
    px_bytes = header.bits // 8
    rows = np.ascontiguousarray(rows[:, : header.width_px * px_bytes])
    px = rows.reshape(header.height_px, header.width_px, px_bytes)
    masks = [mask for mask in header.masks if mask]
    if all(mask in _WHOLE_BYTES for mask in masks):
        places = [_WHOLE_BYTES.index(mask) for mask in masks]
        return _drop_unset_alpha(np.take(px, places, axis=2))
    if px_bytes == 3:
        rows = np.concatenate([px, np.zeros_like(px[..., :1])], axis=2).reshape(len(rows), -1)
        px_bytes = 4
    values = rows.view(f"<u{px_bytes}").astype(np.uint32)
    return _drop_unset_alpha(np.stack([_scale_field(values, mask) for mask in masks], axis=-1))


def _drop_unset_alpha(pixels: PixelArray) -> PixelArray:
    if pixels.shape[2] == 4 and not pixels[..., 3].any():
        return pixels[..., :3]
    return pixels


def _scale_field(values: npt.NDArray[np.uint32], mask: int) -> PixelArray:
    """(h, w) of one bit field, scaled to 0..255."""
    shift = (mask & -mask).bit_length() - 1
    max_value = mask >> shift
    field = (values & np.uint32(mask)) >> np.uint32(shift)
    if max_value == 255:
        return field.astype(np.uint8)
    return ((field.astype(np.uint64) * 255 + max_value // 2) // max_value).astype(np.uint8)
