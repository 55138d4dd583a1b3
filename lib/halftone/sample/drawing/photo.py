"""The photo-like picture: soft edges, smooth shading, a background out of focus."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import FloatImage, as_float32
from halftone.sample.drawing.light import compute_light
from halftone.sample.drawing.marks import blend, mask, paint, resize_square, soften, stroke
from halftone.sample.drawing.noise import noise
from halftone.sample.drawing.outlines import (
    back_hair,
    beard,
    face_to_picture,
    front_hair,
    glasses,
    neck,
    oval,
    shoulders,
)
from halftone.sample.drawing.people import Person
from halftone.sample.drawing.photo_face import paint_eye, paint_mouth, paint_skin
from halftone.sample.drawing.photo_hair import hair_strands, paint_hair
from halftone.sample.drawing.scene import scene_shapes

_SIDE_PX = 512  # photos are soft: drawn at this size, and enlarged before grain is added
_SCENE_PX = 128


def draw_photo(person: Person, rng: Generator, size_px: int) -> FloatImage:
    """Draw a softly lit head before a blurred background.

    Returns:
        (side, side, 3) float32 BGR, without grain; side is at most 512 px.
    """
    side = min(_SIDE_PX, size_px)
    light, u, v = compute_light(person, size_px, float(rng.uniform(0.7, 1.2)))
    lengths = resize_square(hair_strands(rng, person, u, v, is_hanging=True), side)
    streaks = resize_square(hair_strands(rng, person, u, v, is_hanging=False), side)
    canvas = _paint_scene(person, rng, side)
    if person.has_hair:
        paint_hair(
            canvas,
            person,
            face_to_picture(person, back_hair(person), turn=False),
            lengths,
            light,
            0.55,
        )
    paint(canvas, neck(person), np.array(person.skin) * 0.62, 0.008)
    _paint_shirt(canvas, person, rng, u, v)
    paint(
        canvas,
        face_to_picture(person, oval(0, 1.2, 0.4, 0.3), turn=False),
        (10, 10, 12),
        0.015,
        0.4,
    )
    paint_skin(canvas, person, rng, light)
    for side_of_face in (-1, 1):
        paint_eye(canvas, person, side_of_face)
    paint_mouth(canvas, person)
    if person.has_beard:
        _paint_beard(canvas, person, streaks)
        paint_mouth(canvas, person)  # again: the beard covers the first one
    if person.has_hair:
        front = face_to_picture(person, front_hair(person, 0, rng), turn=False)
        paint_hair(canvas, person, front, streaks, light, 0.95)
    if person.has_glasses:
        stroke(canvas, glasses(person), 0.006, (30, 28, 28))
    blur_px = float(rng.uniform(0.3, 1.6)) * side / _SIDE_PX
    return as_float32(soften(canvas, blur_px))


def _paint_scene(person: Person, rng: Generator, size_px: int) -> FloatImage:
    side = _SCENE_PX
    blur = float(rng.uniform(0.015 if person.scene == "rays" else 0.002, 0.035))
    contrast = float(rng.choice([0.5, 1.0]) * rng.uniform(0, 14))  # a plain wall, or leaves
    ramp = np.broadcast_to(as_float32(np.linspace(0, 1, side))[:, None, None], (side, side, 1))
    low, high = as_float32(person.scene_colours[0]), as_float32(person.scene_colours[1])
    canvas = low + ramp * (high - low)
    for points, colour in scene_shapes(person):
        paint(canvas, points, colour, 0.004, 0.8)
    canvas += noise(rng, side, float(rng.uniform(2, 16)))[..., None] * np.float32(contrast)
    return as_float32(resize_square(soften(canvas, blur * side), size_px))


def _paint_shirt(
    canvas: FloatImage, person: Person, rng: Generator, u: FloatImage, v: FloatImage
) -> None:
    size_px = canvas.shape[0]
    folds = 0.75 + 0.3 * person.light[0] * (u / 2.5) + 0.1 * noise(rng, u.shape[0], 24)
    if person.has_striped_shirt:
        folds = folds * (1 - 0.35 * np.clip(4 * np.sin(v * 16) + 0.5, 0, 1))
    cloth = as_float32(person.shirt) * resize_square(np.clip(folds, 0.2, 1.3), size_px)[..., None]
    blend(canvas, mask(shoulders(person), size_px, 0.005), cloth)


def _paint_beard(canvas: FloatImage, person: Person, streaks: FloatImage) -> None:
    stubble = mask(face_to_picture(person, beard(person, 0), turn=False), canvas.shape[0], 0.012)
    stubble *= np.clip(0.75 + 0.25 * streaks, 0, 1)
    blend(canvas, stubble, as_float32(person.hair) * 0.8)
