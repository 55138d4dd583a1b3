"""Pixels that are in no image file, as files of a format that holds them exactly: PNM."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def to_image_file(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return an image file (PGM or PPM) with these pixels.

    Args:
        pixels: (height, width), (height, width, 1) or (height, width, 3) uint8; RGB.
    """
    height_px, width_px, *channels = pixels.shape
    kind = "P6" if channels == [3] else "P5"
    return f"{kind} {width_px} {height_px} 255\n".encode() + pixels.tobytes()
