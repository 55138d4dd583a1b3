"""Blend pixels with an alpha channel over a grey background."""

from __future__ import annotations

import numpy as np

from halftone.images.result import PixelArray


def blend_straight(colour: PixelArray, alpha: PixelArray, background: int) -> PixelArray:
    """Blend (h, w, 1 or 3) uint8 by alpha (h, w, 1) uint8 over the grey level `background`."""
    opacity = alpha.astype(np.uint16)
    blend = colour * opacity + background * (255 - opacity) + 127
    return (blend // 255).astype(np.uint8)


def blend_premultiplied(colour: PixelArray, alpha: PixelArray, background: int) -> PixelArray:
    """Blend (h, w, 1 or 3) uint8 that was multiplied by its alpha (h, w, 1) uint8 before."""
    clear = 255 - alpha.astype(np.uint16)
    blend = colour + (background * clear + 127) // 255
    return np.minimum(blend, 255).astype(np.uint8)
