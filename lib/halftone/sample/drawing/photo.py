"""The photo-like picture: soft edges, smooth shading, a background out of focus."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import Floats, f32
from halftone.sample.drawing.light import light_on
from halftone.sample.drawing.marks import cover, enlarge, mask, paint, soften, stroke
from halftone.sample.drawing.noise import noise
from halftone.sample.drawing.outlines import (
    back_hair,
    beard,
    front_hair,
    glasses,
    neck,
    oval,
    place,
    shoulders,
)
from halftone.sample.drawing.people import Person
from halftone.sample.drawing.photo_face import paint_eye, paint_mouth, paint_skin
from halftone.sample.drawing.photo_hair import paint_hair, strands
from halftone.sample.drawing.scene import scene_shapes

_SIDE_PX = 512  # photos are soft: drawn at this side, enlarged before the grain goes on
_SCENE_PX = 128


def draw_photo(who: Person, rng: Generator, size_px: int) -> Floats:
    """A softly lit head before a blurred background: (side, side, 3) float32 BGR, no grain yet."""
    side = min(_SIDE_PX, size_px)
    light, u, v = light_on(who, size_px, float(rng.uniform(0.7, 1.2)))
    lengths = enlarge(strands(rng, who, u, v, hang=True), side)
    streaks = enlarge(strands(rng, who, u, v, hang=False), side)
    canvas = _scene(who, rng, side)
    if who.has_hair:
        paint_hair(canvas, who, place(who, back_hair(who), turn=False), lengths, light, 0.55)
    paint(canvas, neck(who), np.array(who.skin) * 0.62, 0.008)
    _paint_shirt(canvas, who, rng, u, v)
    paint(canvas, place(who, oval(0, 1.2, 0.4, 0.3), turn=False), (10, 10, 12), 0.015, 0.4)
    paint_skin(canvas, who, rng, light)
    for side_of_face in (-1, 1):
        paint_eye(canvas, who, side_of_face)
    paint_mouth(canvas, who)
    if who.beard:
        _paint_beard(canvas, who, streaks)
        paint_mouth(canvas, who)  # the beard lies over the first one
    if who.has_hair:
        front = place(who, front_hair(who, 0, rng), turn=False)
        paint_hair(canvas, who, front, streaks, light, 0.95)
    if who.glasses:
        stroke(canvas, glasses(who), 0.006, (30, 28, 28))
    blur_px = float(rng.uniform(0.3, 1.6)) * side / _SIDE_PX
    return f32(soften(canvas, blur_px))


def _scene(who: Person, rng: Generator, size_px: int) -> Floats:
    side = _SCENE_PX
    blur = float(rng.uniform(0.015 if who.scene == "rays" else 0.002, 0.035))
    lumpy = float(rng.choice([0.5, 1.0]) * rng.uniform(0, 14))  # a studio's wall, or leaves
    ramp = np.broadcast_to(f32(np.linspace(0, 1, side))[:, None, None], (side, side, 1))
    low, high = f32(who.scene_colours[0]), f32(who.scene_colours[1])
    canvas = low + ramp * (high - low)
    for points, colour in scene_shapes(who):
        paint(canvas, points, colour, 0.004, 0.8)
    canvas += noise(rng, side, float(rng.uniform(2, 16)))[..., None] * np.float32(lumpy)
    return f32(enlarge(soften(canvas, blur * side), size_px))


def _paint_shirt(canvas: Floats, who: Person, rng: Generator, u: Floats, v: Floats) -> None:
    size_px = canvas.shape[0]
    folds = 0.75 + 0.3 * who.light[0] * (u / 2.5) + 0.1 * noise(rng, u.shape[0], 24)
    if who.striped:
        folds = folds * (1 - 0.35 * np.clip(4 * np.sin(v * 16) + 0.5, 0, 1))
    cloth = f32(who.shirt) * enlarge(np.clip(folds, 0.2, 1.3), size_px)[..., None]
    cover(canvas, mask(shoulders(who), size_px, 0.005), cloth)


def _paint_beard(canvas: Floats, who: Person, streaks: Floats) -> None:
    stubble = mask(place(who, beard(who, 0), turn=False), canvas.shape[0], 0.012)
    stubble *= np.clip(0.75 + 0.25 * streaks, 0, 1)
    cover(canvas, stubble, f32(who.hair) * 0.8)
