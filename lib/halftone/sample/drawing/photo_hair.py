"""Hair in a photo: strands with highlights and a frayed edge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import FloatImage, PointArray, as_float32
from halftone.sample.drawing.marks import blend, mask, resize_square, soften
from halftone.sample.drawing.noise import noise, noise_tile
from halftone.sample.drawing.people import Person


def hair_strands(
    rng: Generator, person: Person, u: FloatImage, v: FloatImage, is_hanging: bool
) -> FloatImage:
    """Hair brightness, about -1 to 1: strands that hang down, or start at the parting."""
    if person.hair_style == "curly":
        streaks = noise(rng, u.shape[0], 5) + 0.6 * noise(rng, u.shape[0], 12)
    else:
        across = u * 60 if is_hanging else np.arctan2(u - as_float32(person.parting), 0.9 - v) * 75
        along = v * 3 if is_hanging else np.hypot(u, v) * 5
        start = float(rng.uniform(200, 400))
        streaks = cv2.remap(
            noise_tile(),
            (across + start).astype(np.float32),
            (along + start).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        streaks = streaks + 0.5 * soften(streaks, 2.5)
    return as_float32(np.clip(0.5 * streaks, -1, 1))


def paint_hair(
    canvas: FloatImage,
    person: Person,
    outline: PointArray,
    streaks: FloatImage,
    light: FloatImage,
    brightness: float,
) -> None:
    """Paint hair inside an outline.

    Args:
        streaks: as large as the canvas.
        light: of any size.
        brightness: 1 for hair in full light.
    """
    size_px = canvas.shape[0]
    weight = mask(outline, size_px, 0.006)
    # Strands fray the edge.
    weight = np.clip((weight - 0.5) * 3 + 0.5 + 0.5 * streaks * (weight < 0.97), 0, 1)
    lit = 0.7 + 0.5 * resize_square(soften(light, 6), size_px)
    shade = (brightness * lit * (1 + np.float32(0.3) * streaks))[..., None]
    blend(canvas, weight, as_float32(person.hair) * shade + np.float32(9) * streaks[..., None])
