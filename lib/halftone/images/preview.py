"""Show a rejected image to people, as far as it can be decoded."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from halftone.config import PixelSpec
from halftone.images.result import PixelArray
from halftone.images.tiff_tags import TiffTag

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM", "TIFF")


def decode_preview(data: bytes, spec: PixelSpec) -> Optional[PixelArray]:
    """Decode a rejected file as far as Pillow can.

    OpenCV decodes more of some files, but libpng and libjpeg then print to the terminal.

    Returns:
        (H, W, C) uint8 in the spec's shape, perhaps damaged; None if Pillow cannot decode it.
    """
    mode = "L" if spec.channels == 1 else "RGB"
    size = (spec.width_px, spec.height_px)
    try:
        with _leniently(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if max(image.width * image.height, _count_tile_pixels(image)) > spec.max_pixels:
                return None
            image.draft(mode, (2 * size[0], 2 * size[1]))  # JPEG only
            resized = image.convert(mode).resize(size, Image.Resampling.BOX)
    except Exception:  # Pillow's readers raise many kinds for a damaged file
        return None
    return np.array(resized, np.uint8).reshape(spec.shape)


def _count_tile_pixels(image: Image.Image) -> int:
    """Return the pixels of a TIFF's tile, which libtiff allocates as a whole."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 0
    tags = image.tag_v2
    return int(tags.get(TiffTag.TILE_WIDTH, 0)) * int(tags.get(TiffTag.TILE_HEIGHT, 0))


@contextmanager
def _leniently() -> Iterator[None]:
    """Let Pillow return the part of a truncated file that it has decoded, without messages."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    tiff_logger = logging.getLogger(TiffImagePlugin.__name__)
    was_disabled, tiff_logger.disabled = tiff_logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
        tiff_logger.disabled = was_disabled
