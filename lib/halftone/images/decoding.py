"""Decode an image file to uint8 pixels of one shape, or reject it with a reason.

Training and scoring both call `decode`. It supports JPEG, PNG, WebP, BMP, TIFF, GIF and PNM and
detects the format by the first bytes, never by the file name. All formats are treated alike: the
EXIF orientation is applied, alpha is blended over `background`, grey is ITU-R 601 luma.

Shrinking averages areas (INTER_AREA); enlarging is bilinear, which cannot overshoot. The size is
read from the header before anything is decoded. Damaged files are rejected, see `jpeg_strict`,
`png`, `gif`, `bmp`, `tiff_page_reader` and `containers`. docs/images.md lists what is decoded.
"""

from __future__ import annotations

import math
import re
from typing import Any, Optional

import cv2
import numpy as np
import numpy.typing as npt

from halftone.config import PixelSpec
from halftone.images.jpeg import read_jpeg_header
from halftone.images.jpeg_strict import decode_jpeg_strictly
from halftone.images.orientation import SIDEWAYS, turn_upright
from halftone.images.png import PNG_SIGNATURE
from halftone.images.result import DecodedImage, ImageRejectedError, PixelArray
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
)
_MAGIC_OF_UNSUPPORTED = (
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
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


def decode(data: bytes, spec: PixelSpec) -> DecodedImage:
    """Decode a whole image file.

    Returns:
        The pixels, (height_px, width_px, channels) uint8, and the source's size and format.

    Raises:
        ImageRejectedError: the image is rejected. No other exception is raised, whatever the bytes.
    """
    kind = detect_format(data)
    try:
        if kind == "jpeg":
            pixels, orientation, height_px, width_px = _decode_jpeg(data, spec)
        else:
            pixels, orientation = decode_still(data, kind, spec)
            height_px, width_px = pixels.shape[:2]
        if orientation != 1:
            pixels = turn_upright(pixels, orientation)
        if orientation in SIDEWAYS:
            height_px, width_px = width_px, height_px
        fitted = _fit_to_spec(_convert_channels(pixels, spec.channels), spec)
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
    unsupported_name = _unsupported_name(data)
    if unsupported_name:
        raise ImageRejectedError("unsupported", f"{unsupported_name} is not decoded")
    start = data[:8].hex(" ")
    raise ImageRejectedError("not_an_image", f"{len(data):,} bytes that start with {start}")


def _unsupported_name(data: bytes) -> Optional[str]:
    for magic, name in _MAGIC_OF_UNSUPPORTED:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":  # stills (heic, avif...) and videos (isom, qt...)
        brand = data[8:12].decode("latin-1").strip()
        return f"ISO media of brand {brand!r}"
    if b"<svg" in data[:1024].lower():
        return "SVG"
    return None


def _decode_jpeg(data: bytes, spec: PixelSpec) -> tuple[PixelArray, int, int, int]:
    """Decode to (pixels as stored, perhaps reduced; orientation; stored height; stored width)."""
    header = read_jpeg_header(data, spec)
    height_px, width_px = header.height_px, header.width_px
    if header.orientation in SIDEWAYS:
        min_width_px, min_height_px = _min_decode_size(width_px, height_px, spec)
    else:
        min_height_px, min_width_px = _min_decode_size(height_px, width_px, spec)
    pixels = decode_jpeg_strictly(data, header, spec.channels, min_height_px, min_width_px)
    return pixels, header.orientation, height_px, width_px


def _min_decode_size(height_px: int, width_px: int, spec: PixelSpec) -> tuple[int, int]:
    """The smallest (height, width) in px to which an upright source may be reduced without loss."""
    if spec.fit == "stretch":
        return spec.height_px, spec.width_px
    choose = max if spec.fit == "crop" else min
    scale = choose(spec.height_px / height_px, spec.width_px / width_px)
    return math.ceil(height_px * scale), math.ceil(width_px * scale)


def _convert_channels(pixels: PixelArray, channels: int) -> PixelArray:
    """(h, w, 1 or 3) -> (h, w, channels)."""
    if pixels.shape[2] == channels:
        return pixels
    code = cv2.COLOR_RGB2GRAY if channels == 1 else cv2.COLOR_GRAY2RGB
    converted = cv2.cvtColor(np.ascontiguousarray(pixels), code)
    return np.asarray(converted, np.uint8).reshape(*pixels.shape[:2], channels)


def _fit_to_spec(pixels: PixelArray, spec: PixelSpec) -> PixelArray:
    """(h, w, C) -> (height_px, width_px, C), C-contiguous."""
    height_px, width_px = pixels.shape[:2]
    if spec.fit == "crop":
        scale = min(height_px / spec.height_px, width_px / spec.width_px)
        crop_height_px = min(height_px, max(1, round(spec.height_px * scale)))
        crop_width_px = min(width_px, max(1, round(spec.width_px * scale)))
        top, left = (height_px - crop_height_px) // 2, (width_px - crop_width_px) // 2
        pixels = pixels[top : top + crop_height_px, left : left + crop_width_px]
    elif spec.fit == "pad":
        return _pad(pixels, spec)
    return _resize(pixels, spec.height_px, spec.width_px)


def _pad(pixels: PixelArray, spec: PixelSpec) -> PixelArray:
    height_px, width_px, channels = pixels.shape
    scale = min(spec.height_px / height_px, spec.width_px / width_px)
    inner_height_px = max(1, round(height_px * scale))
    inner_width_px = max(1, round(width_px * scale))
    top = (spec.height_px - inner_height_px) // 2
    left = (spec.width_px - inner_width_px) // 2
    padded = np.full((spec.height_px, spec.width_px, channels), spec.background, np.uint8)
    inner = _resize(pixels, inner_height_px, inner_width_px)
    padded[top : top + inner_height_px, left : left + inner_width_px] = inner
    return padded


def _resize(pixels: PixelArray, height_px: int, width_px: int) -> PixelArray:
    """Resize (h, w, C) to (height_px, width_px, C), C-contiguous.

    Sides that shrink are resized first, by INTER_AREA; then sides that grow, bilinearly, because
    INTER_AREA enlarges by repeating pixels.
    """
    channels = pixels.shape[2]
    smaller_width_px = min(pixels.shape[1], width_px)
    smaller_height_px = min(pixels.shape[0], height_px)
    image: npt.NDArray[Any] = np.ascontiguousarray(pixels)
    if (smaller_height_px, smaller_width_px) != image.shape[:2]:
        size = (smaller_width_px, smaller_height_px)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if (height_px, width_px) != image.shape[:2]:
        image = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return image.reshape(height_px, width_px, channels)


def decode_preview(data: bytes, spec: PixelSpec) -> Optional[PixelArray]:
    """Decode a rejected file as far as OpenCV can, for display to people.

    Returns:
        (H, W, C) uint8 in the spec's shape, perhaps damaged; None if OpenCV cannot decode it.
    """
    flag = cv2.IMREAD_REDUCED_GRAYSCALE_2 if spec.channels == 1 else cv2.IMREAD_REDUCED_COLOR_2
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None
    if pixels is None:
        return None
    resized = cv2.resize(pixels, (spec.width_px, spec.height_px), interpolation=cv2.INTER_AREA)
    preview = resized if spec.channels == 1 else cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
    return np.asarray(preview, np.uint8).reshape(spec.height_px, spec.width_px, spec.channels)
