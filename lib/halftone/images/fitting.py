"""Fit a picture into the shape of a spec: stretch, crop or pad.

Shrinking averages areas (INTER_AREA); enlarging is bilinear, which cannot overshoot.

All positions follow from the size of the source, also where its pixels come from a reduced decode.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from halftone.config import PixelSpec
from halftone.images.result import PixelArray


class Placement(NamedTuple):
    """Which part of an upright source is shown, and how large."""

    top_px: int
    left_px: int
    height_px: int
    width_px: int
    shown_height_px: int  # in the result; the rest is margin
    shown_width_px: int


def place(height_px: int, width_px: int, spec: PixelSpec) -> Placement:
    """Place an upright source of this size."""
    if spec.fit == "crop":
        scale = min(height_px / spec.height_px, width_px / spec.width_px)
        part_height_px = min(height_px, max(1, round(spec.height_px * scale)))
        part_width_px = min(width_px, max(1, round(spec.width_px * scale)))
        top_px, left_px = (height_px - part_height_px) // 2, (width_px - part_width_px) // 2
        part = (top_px, left_px, part_height_px, part_width_px)
        return Placement(*part, spec.height_px, spec.width_px)
    if spec.fit == "pad":
        scale = min(spec.height_px / height_px, spec.width_px / width_px)
        shown_height_px = max(1, round(height_px * scale))
        shown_width_px = max(1, round(width_px * scale))
        return Placement(0, 0, height_px, width_px, shown_height_px, shown_width_px)
    return Placement(0, 0, height_px, width_px, spec.height_px, spec.width_px)


class ReducedPixels(NamedTuple):
    """The pixels of an upright source, perhaps reduced."""

    pixels: PixelArray  # (h, w, C)
    scale: float  # px of `pixels` per px of the source
    top: float  # where the source begins, in px of `pixels`, whose outer px may lie half outside it
    left: float


def fit_pixels(source: ReducedPixels, placement: Placement, spec: PixelSpec) -> PixelArray:
    """Return the placed source: (spec.height_px, spec.width_px, C), C-contiguous."""
    pixels, scale = source.pixels, source.scale
    top, bottom = _scale_part(placement.top_px, placement.height_px, scale, source.top)
    left, right = _scale_part(placement.left_px, placement.width_px, scale, source.left)
    shown_px = (placement.shown_height_px, placement.shown_width_px)
    if all(edge.is_integer() for edge in (top, bottom, left, right)):
        shown = _resize(pixels[int(top) : int(bottom), int(left) : int(right)], *shown_px)
    else:
        shown = _average_areas(pixels, (top, bottom), (left, right), *shown_px)
    if shown_px == (spec.height_px, spec.width_px):
        return shown
    padded = np.full((spec.height_px, spec.width_px, pixels.shape[2]), spec.background, np.uint8)
    margin_top = (spec.height_px - shown_px[0]) // 2
    margin_left = (spec.width_px - shown_px[1]) // 2
    padded[margin_top : margin_top + shown_px[0], margin_left : margin_left + shown_px[1]] = shown
    return padded


def _scale_part(start_px: int, length_px: int, scale: float, origin: float) -> tuple[float, float]:
    return origin + start_px * scale, origin + (start_px + length_px) * scale


def _average_areas(
    pixels: PixelArray,
    rows: tuple[float, float],
    columns: tuple[float, float],
    height_px: int,
    width_px: int,
) -> PixelArray:
    """Shrink a part of (h, w, C), whose edges may lie within pixels, to (height_px, width_px)."""
    part: npt.NDArray[Any] = np.ascontiguousarray(
        pixels[int(rows[0]) : math.ceil(rows[1]), int(columns[0]) : math.ceil(columns[1])]
    )
    factor_y, factor_x = height_px / (rows[1] - rows[0]), width_px / (columns[1] - columns[0])
    if not columns[0].is_integer():  # the other side first, so that fewer pixels are repeated
        if rows[0].is_integer():
            part, factor_y = _scale_areas(part, 1.0, factor_y), 1.0
        part, factor_x = _cut_start(part, columns[0], factor_x, axis=1)
    elif not rows[0].is_integer():
        part, factor_x = _scale_areas(part, factor_x, 1.0), 1.0
    if not rows[0].is_integer():
        part, factor_y = _cut_start(part, rows[0], factor_y, axis=0)
    return _scale_areas(part, factor_x, factor_y).reshape(height_px, width_px, pixels.shape[2])


def _cut_start(
    part: npt.NDArray[Any], start: float, factor: float, axis: int
) -> tuple[npt.NDArray[Any], float]:
    """Let a part begin at `start`, within its first pixel; return it with its new factor.

    Pixels are repeated, so that the start, a whole number of eighths, lies between two of them.
    """
    numerator, repeats = start.as_integer_ratio()
    repeats_x, repeats_y = (repeats, 1) if axis == 1 else (1, repeats)
    repeated = cv2.resize(
        part, None, fx=repeats_x, fy=repeats_y, interpolation=cv2.INTER_NEAREST
    ).swapaxes(0, axis)
    cut = repeated[numerator % repeats :].swapaxes(0, axis)
    return np.ascontiguousarray(cut), factor / repeats


def _scale_areas(part: npt.NDArray[Any], factor_x: float, factor_y: float) -> npt.NDArray[Any]:
    """Shrink by factors, which INTER_AREA keeps exactly: the last area may end within a pixel."""
    scaled = cv2.resize(part, None, fx=factor_x, fy=factor_y, interpolation=cv2.INTER_AREA)
    return np.asarray(scaled)


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
