"""Large pictures to shrink: with sharp edges, and with detail at every size."""

from __future__ import annotations

import cv2
import numpy as np

MAX_SIDE_PX = 1200


def drawing(rng: np.random.Generator) -> np.ndarray:
    """Rectangles with sharp edges."""
    image = np.full((MAX_SIDE_PX, MAX_SIDE_PX, 3), 255, np.uint8)
    for _ in range(2000):
        x, y = (int(value) for value in rng.integers(0, MAX_SIDE_PX, 2))
        side_x, side_y = (int(value) for value in rng.integers(1, 120, 2))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.rectangle(image, (x, y), (x + side_x, y + side_y), colour, -1)
    return image


def texture(rng: np.random.Generator) -> np.ndarray:
    """Detail at every size, as in a photograph."""
    image = np.full((MAX_SIDE_PX, MAX_SIDE_PX, 3), 127, np.float32)
    for octave in range(9):
        coarse = rng.normal(0, 55 / 1.5**octave, (4 << octave, 4 << octave, 3)).astype(np.float32)
        image += cv2.resize(coarse, image.shape[:2], interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)
