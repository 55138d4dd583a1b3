"""Encode the pixels of a dataset's row as it is stored, and decode them.

A row is decoded once per epoch, so speed counts. Measured with 224 x 224 colour, one core: JPEG 0.3
ms to encode and 0.4 ms to decode, PNG 2.7 ms and 1.2 ms.

JPEG is written without subsampled colour (4:4:4). Subsampling halves the sides of the two colour
planes, and at the small sides of a network's input that blurs edges between colours.
docs/reference/images.md has the measurement.

JPEGs are read by simplejpeg, which has the same libjpeg-turbo as OpenCV, gives the same pixels and
raises at damage, where OpenCV returns a picture that is partly grey. Both work without Python's
global lock, so threads decode at the same time.
"""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg

from halftone.config import PixelSpec
from halftone.images.jpeg import read_jpeg_header
from halftone.images.jpeg_strict import END_IS_MISSING
from halftone.images.png import iterate_chunks
from halftone.images.result import ImageRejectedError, PixelArray

# What OpenCV chooses by default. Other strategies and levels take up to three times as long for
# photographs, and save a few per cent at most.
_PNG_PARAMETERS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
)


def encode_pixels(pixels: PixelArray, spec: PixelSpec) -> bytes:
    """Encode one image by `spec.encoding`.

    Args:
        pixels: (height_px, width_px, channels) uint8 of `spec`, grey or RGB.
    """
    if spec.encoding == "raw":
        return pixels.tobytes()
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if spec.channels == 3 else pixels
    if spec.encoding == "png":
        return cv2.imencode(".png", stored, _PNG_PARAMETERS)[1].tobytes()
    parameters = [cv2.IMWRITE_JPEG_QUALITY, spec.jpeg_quality]
    if spec.channels == 3:
        parameters += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", stored, parameters)[1].tobytes()


def decode_pixels(data: bytes, spec: PixelSpec) -> PixelArray:
    """Decode what `encode_pixels` has written.

    Returns:
        (height_px, width_px, channels) uint8.

    Raises:
        ImageRejectedError: the data is damaged, or is an image of another size. A flipped bit of
            raw pixels cannot be detected, and one of a JPEG only sometimes: they have no checksum.
    """
    if spec.encoding == "raw":
        if len(data) != spec.image_bytes:
            raise _damaged(f"{len(data):,} bytes, {spec.image_bytes:,} are expected")
        return np.frombuffer(data, np.uint8).reshape(spec.shape)
    return _decode_png(data, spec) if spec.encoding == "png" else _decode_jpeg(data, spec)


def _decode_jpeg(data: bytes, spec: PixelSpec) -> PixelArray:
    # It refuses lossless JPEGs, which crash the decoder. The limits are not those of `spec`, which
    # are for source images.
    header = read_jpeg_header(data, PixelSpec())
    _check_size(header.height_px, header.width_px, spec)
    try:
        pixels: PixelArray = simplejpeg.decode_jpeg(data, "RGB" if spec.channels == 3 else "GRAY")
    except ValueError as error:
        reason = "truncated" if str(error).startswith(END_IS_MISSING) else "damaged"
        raise ImageRejectedError(reason, str(error)) from None
    return pixels


def _decode_png(data: bytes, spec: PixelSpec) -> PixelArray:
    for kind, start, _, is_intact in iterate_chunks(data):
        if not is_intact:
            raise _damaged(f"PNG chunk {kind.decode('latin-1')} at {start:,}: wrong checksum")
    flag = cv2.IMREAD_COLOR_RGB if spec.channels == 3 else cv2.IMREAD_GRAYSCALE
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if pixels is None:
        raise _damaged(f"PNG of {len(data):,} bytes, which libpng does not read")
    _check_size(pixels.shape[0], pixels.shape[1], spec)
    return np.asarray(pixels, np.uint8).reshape(spec.shape)


def _check_size(height_px: int, width_px: int, spec: PixelSpec) -> None:
    if (height_px, width_px) != (spec.height_px, spec.width_px):
        raise _damaged(
            f"{width_px} x {height_px} px, {spec.width_px} x {spec.height_px} are expected"
        )


def _damaged(detail: str) -> ImageRejectedError:
    return ImageRejectedError("damaged", detail)
