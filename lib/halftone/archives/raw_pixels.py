"""Pixels that are in no image file, as files of a format that holds them exactly: PNM."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def image_file_bytes(height_px: int, width_px: int, num_channels: int) -> int:
    """Return the size of the image file that `to_image_file` returns."""
    header = _make_header(height_px, width_px, num_channels)
    return len(header) + height_px * width_px * num_channels


def to_image_file(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return an image file (PGM or PPM) with these pixels.

    Args:
        pixels: (height, width), (height, width, 1) or (height, width, 3) uint8; RGB.
    """
    height_px, width_px, *channels = pixels.shape
    return _make_header(height_px, width_px, *channels) + pixels.tobytes()


def _make_header(height_px: int, width_px: int, num_channels: int = 1) -> bytes:
    return f"P{6 if num_channels == 3 else 5} {width_px} {height_px} 255\n".encode()
