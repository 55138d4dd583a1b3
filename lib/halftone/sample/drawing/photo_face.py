"""Skin, eyes and mouth of a photo, in soft layers from the largest shape to the smallest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import FloatImage, as_float32
from halftone.sample.drawing.marks import blend, mask, paint, resize_square
from halftone.sample.drawing.noise import noise
from halftone.sample.drawing.outlines import face_to_picture, head, lips, oval
from halftone.sample.drawing.people import Person


def paint_skin(canvas: FloatImage, person: Person, rng: Generator, light: FloatImage) -> None:
    size_px = canvas.shape[0]
    skin = np.array(person.skin)
    for side in (-1, 1):
        ear = face_to_picture(person, oval(side, 0.08, 0.15, 0.27), turn=False)
        paint(canvas, ear, skin * 0.7, 0.006)
    shaded = _shaded_skin(person, rng, light, size_px)
    blend(
        canvas, mask(face_to_picture(person, head(person, 0), turn=False), size_px, 0.004), shaded
    )
    for side in (-1, 1):
        cheek, nostril = oval(0.5 * side, 0.36, 0.26, 0.2), oval(0.07 * side, 0.345, 0.045, 0.025)
        _on_face(canvas, person, cheek, skin * (0.8, 0.78, 1.02), 0.03, 0.3)
        _on_face(canvas, person, nostril, skin * 0.3, 0.005, 0.7)
    _on_face(canvas, person, oval(0, 0.40, 0.17, 0.04), skin * 0.45, 0.012, 0.5)


def paint_eye(canvas: FloatImage, person: Person, side: int) -> None:
    """Paint one eye; `side` is -1 for the eye on the picture's left, 1 for the other."""
    skin, hair = np.array(person.skin), np.array(person.hair)
    u, open_v = 0.40 * side, 0.085 * person.eye_open
    white = np.concatenate(
        [oval(u, 0, 0.185, open_v * 1.15, 1, 2), oval(u, 0, 0.185, open_v, 0, 1)]
    )
    _on_face(canvas, person, oval(u, -0.02, 0.27, 0.17), skin * 0.45, 0.012, 0.45)
    _on_face(canvas, person, white, (205, 210, 215), 0.0015, 0.9)
    look = u + 0.1 * person.yaw_rad
    iris, glint = oval(look, -0.005, 0.085, min(0.085, open_v)), (250, 250, 250)
    _on_face(canvas, person, iris, person.eye_colour, 0.0015)
    _on_face(canvas, person, oval(look, -0.005, 0.04, 0.04), (12, 12, 12), 0.001)
    _on_face(canvas, person, oval(look - 0.03, -0.035, 0.018, 0.018), glint, 0.001, 0.9)
    lid = oval(u, 0.0, 0.195, open_v * 1.2, 1, 2)
    lid = np.concatenate([lid, lid[::-1] * (1, 1) + (0, -0.035)])
    _on_face(canvas, person, lid, hair * 0.4, 0.002, 0.85)
    tip = -0.26 - 0.05 * person.brow
    brow = [
        (u - 0.22, tip + 0.05 * (1 - side * person.brow * 0.6)),
        (u, tip - 0.04),
        (u + 0.22, tip + 0.05 * (1 + side * person.brow * 0.6)),
        (u, tip + 0.03),
    ]
    _on_face(canvas, person, brow, hair * 0.8, 0.004, 0.85)


def paint_mouth(canvas: FloatImage, person: Person) -> None:
    line, opening = lips(person)
    lip = np.array(person.skin) * (0.62, 0.60, 0.86)
    full = np.linspace(-1, 1, len(line))
    full = np.stack([0 * full, 1 - full**2], axis=1)  # lips are thick in the middle
    upper = np.concatenate([line, (line - 0.075 * full)[::-1]])
    under = line * (0.9, 1) + 0.22 * person.mouth_open * full
    lower = np.concatenate([under, (under + 0.1 * full)[::-1]])
    _on_face(canvas, person, upper, lip * 0.9, 0.004, 0.8)
    _on_face(canvas, person, lower, lip * 1.08, 0.005, 0.8)
    gap = np.concatenate([line, np.add(line[::-1], (0, 0.02))])
    _on_face(canvas, person, gap, lip * 0.35, 0.003)
    if person.shows_teeth:
        _on_face(canvas, person, opening, (25, 22, 60), 0.002)
        teeth = np.concatenate(
            [line * (0.85, 1), line[::-1] * (0.8, 1) + (0, 0.07 * person.mouth_open)]
        )
        _on_face(canvas, person, teeth, (215, 222, 228), 0.002, 0.9)


def _shaded_skin(person: Person, rng: Generator, light: FloatImage, size_px: int) -> FloatImage:
    ambient = float(rng.uniform(0.25, 0.5))
    strength = resize_square(ambient + (1.15 - ambient) * light, size_px)[..., None]
    strength = strength + noise(rng, size_px, 6)[..., None] * np.float32(0.012)
    # Shadows on skin are reddish, because light travels inside it.
    shaded = as_float32(person.skin) * strength ** as_float32([1.15, 1.08, 0.92])
    shaded += np.float32(60) * np.clip(strength - 0.98, 0, 1)
    return as_float32(shaded)


def _on_face(
    canvas: FloatImage, person: Person, shape: Any, colour: Any, blur: float, alpha: float = 1.0
) -> None:
    paint(canvas, face_to_picture(person, shape), colour, blur, alpha)
