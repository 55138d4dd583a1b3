"""Decode with Pillow, which rejects truncated files; its errors become reject reasons."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

from halftone.config import PixelSpec
from halftone.images.orientation import UPRIGHT, read_orientation
from halftone.images.result import ImageRejectedError, PixelArray, check_size

# max_pixels is the limit; Pillow's own is lower than what a user may set.
Image.MAX_IMAGE_PIXELS = None

_PILLOW_FORMATS = {
    "jpeg": ("JPEG",),
    "png": ("PNG",),
    "webp": ("WEBP",),
    "gif": ("GIF",),
    "pnm": ("PPM",),
    "avif": ("AVIF",),
    "jpeg2000": ("JPEG2000",),
}
_TRUNCATED_WORDS = ("truncated", "eof while reading", "not enough image data", "end of file")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_PLAIN_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")


def load_pixels(data: bytes, kind: str, spec: PixelSpec) -> PixelArray:
    """Decode to (h, w, 1) grey, (h, w, 3) RGB or (h, w, 4) RGBA, uint8.

    Raises:
        ImageRejectedError: Pillow cannot read the file, or its size is outside the limits of
            `spec`.
    """
    return load_turned_pixels(data, kind, spec)[0]


def load_turned_pixels(data: bytes, kind: str, spec: PixelSpec) -> tuple[PixelArray, int]:
    """Decode as `load_pixels` does; also return the EXIF orientation, 1..8, that Pillow reports."""
    with (
        reject_errors(data, kind),
        Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS[kind]) as image,
    ):
        check_size(spec, *image.size)
        image.load()
        exif = image.info.get("exif", b"")
        orientation = read_orientation(exif) if isinstance(exif, bytes) else UPRIGHT
        return convert_to_uint8(image, kind), orientation


@contextmanager
def reject_errors(data: bytes, kind: str) -> Iterator[None]:
    """Turn any error of a reader into a rejection.

    Any exception of Pillow's readers means that they cannot read the file: their parsers raise
    OSError, SyntaxError, ValueError, struct.error, IndexError and others.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageRejectedError:
        raise
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


def convert_to_uint8(image: Image.Image, kind: str) -> PixelArray:
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
