"""Decode all formats but JPEG, with Pillow, which rejects truncated files.

OpenCV's wheels do not support GIF; its decoders ignore EXIF except in JPEG, and log to stderr. Of
an animation or a file of many pages, the first picture is decoded. 16-bit samples lose their lower
8 bits, as in libpng and OpenCV.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from halftone.config import PixelSpec
from halftone.images.containers import check_bmp, check_pnm, check_webp
from halftone.images.gif import check_gif
from halftone.images.orientation import UPRIGHT
from halftone.images.png import read_png
from halftone.images.result import ImageRejectedError, PixelArray, check_size
from halftone.images.tiff import check_tiff

_PILLOW_FORMATS = {
    "png": ("PNG",),
    "webp": ("WEBP",),
    "bmp": ("BMP",),
    "tiff": ("TIFF",),
    "gif": ("GIF",),
    "pnm": ("PPM",),
}
_TRUNCATED_WORDS = ("truncated", "eof while reading", "not enough image data")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_PLAIN_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")


def decode_still(data: bytes, kind: str, spec: PixelSpec) -> tuple[PixelArray, int]:
    """Decode to pixels and an EXIF orientation that the caller must apply.

    Returns:
        (pixels, orientation): (h, w, 1 or 3) uint8, and 1..8.

    Raises:
        ImageRejectedError: the image cannot be used.
    """
    orientation, transparent = UPRIGHT, None
    if kind == "png":
        data, orientation, transparent = read_png(data, spec)
    elif kind == "webp":
        orientation = check_webp(data, spec)
    elif kind == "gif":
        check_gif(data, spec)
    elif kind == "tiff":
        check_tiff(data, spec)
    elif kind == "bmp":
        check_bmp(data, spec)
    elif kind == "pnm":
        check_pnm(data, spec)
    pixels = _load_pixels(data, kind, spec)  # (h, w, 1, 3 or 4)
    if transparent is not None and pixels.shape[2] == len(transparent):
        opaque = (pixels != np.array(transparent, np.uint8)).any(axis=2)
        pixels = np.where(opaque[..., None], pixels, np.uint8(spec.background))
    return _blend_over_background(pixels, spec.background), orientation


def _load_pixels(data: bytes, kind: str, spec: PixelSpec) -> PixelArray:
    """Decode with Pillow.

    Any exception of Pillow's readers means that they cannot read the file: their parsers raise
    OSError, SyntaxError, ValueError, struct.error, IndexError and others.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS[kind]) as image:
                check_size(spec, *image.size)
                image.load()
                return _convert_to_uint8(image, kind)
    except ImageRejectedError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageRejectedError("too_large", str(error)) from None
    except MemoryError:
        raise ImageRejectedError("too_large", f"no memory to decode this {kind}") from None
    except UnidentifiedImageError:  # its message contains a memory address
        raise ImageRejectedError(
            "damaged", f"{kind}: unreadable header, {len(data):,} bytes"
        ) from None
    except Exception as error:
        message = str(error) or type(error).__name__
        truncated = any(word in message.lower() for word in _TRUNCATED_WORDS)
        raise ImageRejectedError(
            "truncated" if truncated else "damaged", f"{kind}: {message}"
        ) from None


def _convert_to_uint8(image: Image.Image, kind: str) -> PixelArray:
    """(h, w, 1) grey, (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and kind in ("png", "pnm")):
        return (np.asarray(image) >> 8).astype(np.uint8)[..., None]
    if mode not in _PLAIN_MODES + _ALPHA_MODES:
        raise ImageRejectedError("unsupported", f"{kind} of samples {mode!r}")
    if mode in _ALPHA_MODES or "transparency" in image.info:
        target_mode = "RGBA"
    else:
        target_mode = "L" if mode in ("1", "L") else "RGB"
    pixels = np.asarray(image if mode == target_mode else image.convert(target_mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _blend_over_background(pixels: PixelArray, background: int) -> PixelArray:
    """Blend RGBA over the grey level `background`; return other pixels unchanged."""
    if pixels.shape[2] != 4:
        return pixels
    alpha = pixels[..., 3:].astype(np.uint16)
    blend = pixels[..., :3] * alpha + background * (255 - alpha) + 127
    return (blend // 255).astype(np.uint8)
