"""The colours of people and scenes: BGR, 0 to 255."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

SKIN_COLOURS = (  # light to dark; the skin of a person is a mixture of two neighbours
    (200, 216, 243),
    (166, 192, 232),
    (132, 166, 214),
    (98, 132, 188),
    (66, 94, 148),
    (44, 62, 104),
)
HAIR_COLOURS = (
    (24, 22, 26),
    (30, 42, 62),
    (44, 66, 104),
    (40, 62, 138),
    (96, 152, 204),
    (168, 168, 172),
)


def mix_colours(low: Any, high: Any, share: float) -> tuple[float, float, float]:
    b, g, r = np.asarray(low, float) * (1 - share) + np.asarray(high, float) * share
    return (float(b), float(g), float(r))


def random_colour(rng: Generator) -> tuple[float, float, float]:
    hsv = np.array([[[rng.integers(180), rng.uniform(10, 140), rng.uniform(40, 240)]]], np.uint8)
    b, g, r = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0]
    return (float(b), float(g), float(r))
