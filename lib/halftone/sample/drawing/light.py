"""The light on a head; both kinds use it for shading, a photo smoothly and a comic in steps."""

from __future__ import annotations

import numpy as np

from halftone.sample.drawing.arrays import FloatImage, as_float32
from halftone.sample.drawing.people import Person

_SIDE_PX = 256  # light changes slowly over a head: a higher resolution would only cost time


def compute_light(
    person: Person, size_px: int, relief: float
) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Return (light 0..1, u, v) over the whole picture, each (side, side), at most (256, 256).

    The head is an ellipsoid with a nose and eye sockets of height `relief`, lit from one side.
    """
    side = min(_SIDE_PX, size_px)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    x, y = (
        (x - person.centre[0]) / person.half_head_width,
        (y - person.centre[1]) / person.half_head_width,
    )
    cos, sin = np.float32(np.cos(person.tilt_rad)), np.float32(np.sin(person.tilt_rad))
    u, v = x * cos + y * sin, y * cos - x * sin
    turned = u - np.float32(np.sin(person.yaw_rad))

    def bump(at_u: float, at_v: float, ru: float, rv: float) -> FloatImage:
        return as_float32(np.exp(-(((turned - at_u) / ru) ** 2) - ((v - at_v) / rv) ** 2))

    height = np.sqrt(np.clip(1.08 - u**2 - (v / 1.3) ** 2, 0.02, None))
    nose = bump(0, 0.22, 0.13, 0.20) + 0.5 * bump(0, -0.02, 0.09, 0.25)
    eyes = bump(-0.40, 0, 0.24, 0.14) + bump(0.40, 0, 0.24, 0.14)
    cheeks = bump(-0.5, 0.35, 0.25, 0.25) + bump(0.5, 0.35, 0.25, 0.25)
    height += relief * (0.30 * nose - 0.13 * eyes + 0.05 * cheeks - 0.06 * bump(0, 0.8, 0.4, 0.09))
    step = np.float32(1 / (side * person.half_head_width))
    slope_y, slope_x = np.gradient(height, step)
    dot = person.light[2] - person.light[0] * slope_x - person.light[1] * slope_y
    return np.clip(dot / np.sqrt(1 + slope_x**2 + slope_y**2), 0, 1).astype(np.float32), u, v
