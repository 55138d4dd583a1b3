"""Decode the first page of a TIFF file."""

from __future__ import annotations

import numpy as np
from PIL import Image

from halftone.config import PixelSpec
from halftone.images.blending import blend_premultiplied, blend_straight
from halftone.images.result import PixelArray
from halftone.images.tiff_page import COLOUR_SAMPLES, Alpha, Photometric
from halftone.images.tiff_page_reader import read_page
from halftone.images.tiff_parts import read_samples

_MAX_8_BIT = 255


def decode_tiff(data: bytes, spec: PixelSpec) -> tuple[PixelArray, int]:
    """Decode to pixels and an orientation that the caller must apply.

    Returns:
        (pixels, orientation): (h, w, 1) grey or (h, w, 3) RGB, uint8, and 1..8.

    Raises:
        ImageRejectedError: the page is truncated, damaged or of a variant that is not decoded.
    """
    page = read_page(data, spec)
    samples = read_samples(data, page, spec)
    num_colours = COLOUR_SAMPLES[page.photometric]
    colour, alpha = samples[..., :num_colours], samples[..., num_colours : num_colours + 1]
    if page.photometric == Photometric.WHITE_IS_ZERO:
        colour = np.bitwise_not(colour)
    elif page.photometric == Photometric.PALETTE:
        colour = _convert_colour_map(page.colour_map)[colour[..., 0]]
        alpha = alpha * np.uint8(255 // ((1 << page.bits) - 1))  # stored like the indices
    elif page.photometric == Photometric.CMYK:
        size = (page.width_px, page.height_px)
        colour = np.asarray(Image.frombytes("CMYK", size, colour.tobytes()).convert("RGB"))
    if page.alpha == Alpha.STRAIGHT:
        colour = blend_straight(colour, alpha, spec.background)
    elif page.alpha == Alpha.PREMULTIPLIED:
        colour = blend_premultiplied(colour, alpha, spec.background)
    return colour, page.orientation


def _convert_colour_map(colour_map: tuple[int, ...]) -> PixelArray:
    """(colours, 3) uint8. Values are of 16 bits; some writers store 8, as libtiff assumes too."""
    values = np.array(colour_map)
    if values.max() > _MAX_8_BIT:
        values >>= 8
    return np.ascontiguousarray(values.astype(np.uint8).reshape(3, -1).T)
