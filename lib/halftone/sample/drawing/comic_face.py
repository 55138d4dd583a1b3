"""Eyes, nose, mouth and front hair of a comic, inked over the shaded head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import ByteImage
from halftone.sample.drawing.marks import stroke
from halftone.sample.drawing.outlines import face_to_picture, front_hair, lips, oval
from halftone.sample.drawing.palette import mix_colours
from halftone.sample.drawing.pen import Pen, ink_shape
from halftone.sample.drawing.people import Person


def ink_face(canvas: ByteImage, person: Person, pen: Pen) -> None:
    for side in (-1, 1):
        _ink_eye(canvas, person, pen, side)
    nose = [(0.0, 0.12), (0.1, 0.33), (-0.02, 0.36)]
    stroke(canvas, [face_to_picture(person, nose)], pen.width * 0.9, pen.ink)
    line, opening = lips(person)
    if person.shows_teeth:
        teeth = np.concatenate([line, line[::-1] * (0.9, 1) + (0, 0.05)])
        _on_face(canvas, person, pen, opening, (60, 50, 150), 0.8)
        _on_face(canvas, person, pen, teeth, (250, 250, 250), 0)
    stroke(canvas, [face_to_picture(person, line)], pen.width * 1.2, pen.ink)


def ink_front_hair(canvas: ByteImage, person: Person, pen: Pen, rng: Generator) -> None:
    outline = front_hair(person, pen.cartoon, rng)
    ink_shape(canvas, pen, face_to_picture(person, outline, turn=False), person.hair)
    shine = mix_colours(person.hair, (255, 255, 255), 0.35)
    arc = oval(0, 0, 0.8, 1.0, 1.25, 1.25 + rng.uniform(0.2, 0.45))
    stroke(canvas, [face_to_picture(person, arc, turn=False)], pen.width * rng.uniform(1, 5), shine)
    for turn in rng.uniform(1.1, 1.9, 6):
        outwards = (np.cos(turn * np.pi), 1.2 * np.sin(turn * np.pi))
        ray = np.outer(np.linspace(0.88, 1.06, 3), outwards)
        stroke(canvas, [face_to_picture(person, ray, turn=False)], pen.width * 0.7, pen.ink)


def _ink_eye(canvas: ByteImage, person: Person, pen: Pen, side: int) -> None:
    big = pen.cartoon
    u, ru, rv = 0.41 * side, 0.19 + 0.08 * big, (0.09 + 0.17 * big) * person.eye_open
    look, iris = u + 0.12 * person.yaw_rad, min(0.09 + 0.08 * big, rv)
    glint = oval(look - 0.04, -0.4 * iris, iris * 0.3, iris * 0.3)
    _on_face(canvas, person, pen, oval(u, 0, ru, rv), (248, 250, 250), 0.6)
    _on_face(canvas, person, pen, oval(look, 0, iris * 0.85, iris), person.eye_colour, 0.5)
    _on_face(canvas, person, pen, oval(look, 0, iris * 0.4, iris * 0.55), pen.ink, 0)
    _on_face(canvas, person, pen, glint, (255, 255, 255), 0)
    lid = oval(u, 0, ru * 1.05, rv * 1.05, 1.03, 1.97)
    stroke(canvas, [face_to_picture(person, lid)], pen.width * 1.8, pen.ink)
    tip = -0.22 - rv - 0.07 * person.brow
    slant = 0.08 * side * person.brow
    brow = [(u - 0.24, tip + 0.06 - slant), (u, tip - 0.03), (u + 0.24, tip + 0.06 + slant)]
    stroke(canvas, [face_to_picture(person, brow)], pen.width * 2.2, np.array(person.hair) * 0.6)


def _on_face(
    canvas: ByteImage, person: Person, pen: Pen, shape: Any, colour: Any, line: float
) -> None:
    ink_shape(canvas, pen, face_to_picture(person, shape), colour, line)
