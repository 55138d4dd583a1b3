"""Decode an image file to uint8 pixels of one shape, or reject it with a reason.

Training and scoring both call `decode`. It supports JPEG, PNG, WebP, BMP, TIFF, GIF, PNM, JPEG 2000
and, with packages of the extra `formats`, HEIC, AVIF, JPEG XL and DICOM, and detects the format by
the first bytes, never by the file name. All formats are treated alike: the
EXIF orientation is applied, alpha is blended over `background`, grey is ITU-R 601 luma.

`fitting` shrinks by averaging areas and enlarges bilinearly. A large JPEG is decoded at a reduced
scale where the result is the same within 2.5 grey levels in the mean, see `jpeg_scale`. The size is
read from the header before anything is decoded. Damaged files are rejected, see `jpeg_strict`,
`png`, `gif`, `bmp`, `tiff_page_reader` and `containers`. docs/reference/images.md lists what is
decoded.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

import cv2
import numpy as np

from halftone.config import PixelSpec
from halftone.image_boxes import ImageBox
from halftone.images import dicom, jpeg2000, jxl, jxl_header
from halftone.images.fitting import Placement, ReducedPixels, fit_pixels, place
from halftone.images.iso_boxes import find_still_kind
from halftone.images.jpeg import read_jpeg_header
from halftone.images.jpeg_scale import FULL_SCALE, choose_scale
from halftone.images.jpeg_strict import decode_jpeg_strictly
from halftone.images.orientation import MIRRORED_COLUMNS, MIRRORED_ROWS, SIDEWAYS, turn_upright
from halftone.images.png import PNG_SIGNATURE
from halftone.images.result import DecodedImage, ImageRejectedError, PixelArray, check_box
from halftone.images.stills import decode_still

cv2.setNumThreads(1)  # there is one worker process per core

_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (PNG_SIGNATURE, "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (jpeg2000.CONTAINER_MAGIC, "jpeg2000"),
    (jpeg2000.CODESTREAM_MAGIC, "jpeg2000"),
    (jxl.CONTAINER_MAGIC, "jxl"),
    (jxl_header.CODESTREAM_MAGIC, "jxl"),
)
_MAGIC_OF_UNSUPPORTED = (
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "ICO"),
    (b"v/1\1", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"P7\n", "PAM"),
    (b"PF\n", "PFM"),
    (b"Pf\n", "PFM"),
    (b"%PDF", "PDF"),
    (b"\x1a\x45\xdf\xa3", "Matroska video"),
    (b"II\xbc\1", "JPEG XR"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
)
_PNM_MAGIC = re.compile(rb"P[1-6][\s#]")
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)


def decode(data: bytes, spec: PixelSpec, box: Optional[ImageBox] = None) -> DecodedImage:
    """Decode a whole image file.

    Args:
        box: the part of the upright image that is fitted; None: all.

    Returns:
        The pixels, (height_px, width_px, channels) uint8, and the source's size and format.

    Raises:
        ImageRejectedError: the image is rejected. No other exception is raised, whatever the bytes.
    """
    kind = detect_format(data)
    try:
        if kind == "jpeg":
            stored = _decode_jpeg(data, spec, box)
        else:
            stored = _decode_still(data, kind, spec, box)
        height_px, width_px = stored.upright_size
        fitted = fit_pixels(_turn_upright(stored, spec.channels), stored.placement, spec)
    except MemoryError:
        raise ImageRejectedError("too_large", f"no memory to decode this {kind}") from None
    except cv2.error as error:
        raise ImageRejectedError("damaged", f"{kind}: {error}") from None
    return DecodedImage(fitted, height_px, width_px, kind)


def detect_format(data: bytes) -> str:
    """Return the name of the format, by the first bytes.

    Raises:
        ImageRejectedError: with reason empty, unsupported or not_an_image.
    """
    if not data:
        raise ImageRejectedError("empty", "0 bytes")
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    if _PNM_MAGIC.match(data):
        return "pnm"
    still_kind = find_still_kind(data)
    if still_kind:
        return still_kind
    if data[dicom.MAGIC_AT : dicom.MAGIC_AT + len(dicom.MAGIC)] == dicom.MAGIC:
        return "dicom"
    unsupported_name = _unsupported_name(data)
    if unsupported_name:
        raise ImageRejectedError("unsupported", f"{unsupported_name} is not decoded")
    start = data[:8].hex(" ")
    raise ImageRejectedError("not_an_image", f"{len(data):,} bytes that start with {start}")


def _unsupported_name(data: bytes) -> Optional[str]:
    for magic, name in _MAGIC_OF_UNSUPPORTED:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":  # stills in other codings, and videos (isom, qt...)
        brand = data[8:12].decode("latin-1").strip()
        return f"ISO media of brand {brand!r}"
    if b"<svg" in data[:1024].lower():
        return "SVG"
    return None


class _StoredPicture(NamedTuple):
    """A decoded picture before its rotation."""

    pixels: PixelArray  # (h, w, 1 or 3), perhaps reduced
    scale: int  # h and w are so many eighths of the source's, rounded up
    orientation: int  # 1..8
    upright_size: tuple[int, int]  # (height, width) in px of the source
    placement: Placement


def _decode_jpeg(data: bytes, spec: PixelSpec, box: Optional[ImageBox]) -> _StoredPicture:
    header = read_jpeg_header(data, spec)
    size = (header.height_px, header.width_px)
    upright_size = size[::-1] if header.orientation in SIDEWAYS else size
    placement = _place_part(*upright_size, spec, box)
    if box is None:
        scale = choose_scale(*upright_size, placement)
    else:
        of_blocks = _mirror(placement, upright_size, header.orientation)
        scale = choose_scale(*upright_size, of_blocks, more_px=1)
    pixels, scale = decode_jpeg_strictly(data, header, spec, scale)
    return _StoredPicture(pixels, scale, header.orientation, upright_size, placement)


def _decode_still(
    data: bytes, kind: str, spec: PixelSpec, box: Optional[ImageBox]
) -> _StoredPicture:
    pixels, orientation = decode_still(data, kind, spec)
    size = (pixels.shape[0], pixels.shape[1])
    upright_size = size[::-1] if orientation in SIDEWAYS else size
    placement = _place_part(*upright_size, spec, box)
    return _StoredPicture(pixels, FULL_SCALE, orientation, upright_size, placement)


def _place_part(
    height_px: int, width_px: int, spec: PixelSpec, box: Optional[ImageBox]
) -> Placement:
    """Place an upright source, or a box of it as if it were a source of its own."""
    if box is None:
        return place(height_px, width_px, spec)
    check_box(spec, box, width_px, height_px)
    of_box = place(box.height, box.width, spec)
    return of_box._replace(top_px=box.y + of_box.top_px, left_px=box.x + of_box.left_px)


def _mirror(placement: Placement, size: tuple[int, int], orientation: int) -> Placement:
    """Return a placement as seen from where the blocks of a JPEG begin.

    A source of 203 px that is mirrored has its whole blocks at its other end.
    """
    top_px, left_px = placement.top_px, placement.left_px
    if orientation in MIRRORED_ROWS:
        top_px = size[0] - top_px - placement.height_px
    if orientation in MIRRORED_COLUMNS:
        left_px = size[1] - left_px - placement.width_px
    return placement._replace(top_px=top_px, left_px=left_px)


def _turn_upright(stored: _StoredPicture, channels: int) -> ReducedPixels:
    pixels = turn_upright(_convert_channels(stored.pixels, channels), stored.orientation)
    scale = stored.scale / FULL_SCALE
    # The last row and column may lie half outside of the picture; turned, they are the first ones.
    top = left = 0.0
    if stored.orientation in MIRRORED_ROWS:
        top = pixels.shape[0] - stored.upright_size[0] * scale
    if stored.orientation in MIRRORED_COLUMNS:
        left = pixels.shape[1] - stored.upright_size[1] * scale
    return ReducedPixels(pixels, scale, top, left)


def _convert_channels(pixels: PixelArray, channels: int) -> PixelArray:
    """(h, w, 1 or 3) -> (h, w, channels)."""
    if pixels.shape[2] == channels:
        return pixels
    code = cv2.COLOR_RGB2GRAY if channels == 1 else cv2.COLOR_GRAY2RGB
    converted = cv2.cvtColor(np.ascontiguousarray(pixels), code)
    return np.asarray(converted, np.uint8).reshape(*pixels.shape[:2], channels)
