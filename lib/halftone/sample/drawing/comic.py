"""The comic-like picture: outlines, flat colours, stepped shadows."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import ByteImage, PointArray, as_float32
from halftone.sample.drawing.comic_face import ink_face, ink_front_hair
from halftone.sample.drawing.light import compute_light
from halftone.sample.drawing.marks import mask, multiply_brightness, resize_square, soften, stroke
from halftone.sample.drawing.noise import noise
from halftone.sample.drawing.outlines import (
    back_hair,
    beard,
    face_to_picture,
    glasses,
    head,
    neck,
    oval,
    shoulders,
)
from halftone.sample.drawing.pen import Pen, choose_pen, ink_outline, ink_shape, shadow_screen
from halftone.sample.drawing.people import Person
from halftone.sample.drawing.scene import scene_shapes


def draw_comic(person: Person, rng: Generator, size_px: int) -> ByteImage:
    """Draw a head in ink and flat colours: (size_px, size_px, 3) uint8 BGR, without grain."""
    pen = choose_pen(rng)
    canvas = np.zeros((size_px, size_px, 3), np.uint8)
    _ink_scene(canvas, person, pen, rng)
    skin, hair = np.array(person.skin), np.array(person.hair)
    if person.has_hair:
        ink_shape(canvas, pen, face_to_picture(person, back_hair(person), turn=False), hair * 0.75)
    ink_shape(canvas, pen, neck(person), skin * 0.8)
    _ink_shirt(canvas, person, pen)
    for side in (-1, 1):
        ear = face_to_picture(person, oval(side, 0.08, 0.15, 0.25), turn=False)
        ink_shape(canvas, pen, ear, skin * 0.9)
    face = face_to_picture(person, head(person, pen.cartoon), turn=False)
    ink_shape(canvas, pen, face, skin, 0)
    if person.has_beard:
        ink_shape(
            canvas, pen, face_to_picture(person, beard(person, pen.cartoon), turn=False), hair, 0
        )
    _cel_shade(canvas, person, pen, face)
    ink_outline(canvas, pen, face, 1.2)
    ink_face(canvas, person, pen)
    if person.has_hair:
        ink_front_hair(canvas, person, pen, rng)
    if person.has_glasses:
        stroke(canvas, glasses(person), pen.width * 1.3, pen.ink)
    return _airbrush(canvas, rng)


def _ink_scene(canvas: ByteImage, person: Person, pen: Pen, rng: Generator) -> None:
    canvas[:] = np.array(person.scene_colours[0]).astype(np.uint8)
    outlined = float(rng.choice([0.0, 0.8]))
    for points, colour in scene_shapes(person):
        ink_shape(canvas, pen, points, colour, outlined)
    if person.scene == "plain":
        half = rng.uniform(0.2, 0.8)
        wall = np.array([(0, half), (1, half), (1, 1), (0, 1)])
        ink_shape(canvas, pen, wall, person.scene_colours[1], outlined)


def _ink_shirt(canvas: ByteImage, person: Person, pen: Pen) -> None:
    outline, size_px = shoulders(person), canvas.shape[0]
    ink_shape(canvas, pen, outline, person.shirt, 0)
    if person.has_striped_shirt:
        rows = (np.arange(size_px) / size_px - person.centre[1]) / person.half_head_width
        dark = 1 - 0.35 * mask(outline, size_px) * (np.sin(rows * 16) > 0)[:, None]
        canvas[:] = multiply_brightness(canvas, dark)
    ink_outline(canvas, pen, outline)


def _cel_shade(canvas: ByteImage, person: Person, pen: Pen, inside: PointArray) -> None:
    """Darken the skin in steps where there is less light."""
    size_px = canvas.shape[0]
    light, _, _ = compute_light(person, size_px, 0.35)
    steps = np.zeros_like(light)
    for level in np.linspace(0.3, 0.65, pen.num_tones):
        steps += np.clip((light - np.float32(level)) * 60 + 0.5, 0, 1)
    shade = 1 - 0.5 * (1 - steps / pen.num_tones)
    shade = soften(shade, pen.edge_blur * light.shape[0])
    factor = 1 - mask(inside, size_px) * (1 - resize_square(shade, size_px))
    if pen.screen != "none":
        factor = 1 - (1 - factor) * (0.4 + 1.2 * shadow_screen(pen.screen, size_px))
    canvas[:] = multiply_brightness(canvas, np.clip(factor, 0, 1))


def _airbrush(canvas: ByteImage, rng: Generator) -> ByteImage:
    """Vary the brightness slowly over the sheet, as by an airbrush or an uneven scanner."""
    side = 64
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    turn, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.6)
    change = 1 + depth * (x * np.cos(turn) + y * np.sin(turn))
    change += rng.uniform(0, 0.08) * noise(rng, side, float(rng.uniform(6, 20)))
    return multiply_brightness(canvas, resize_square(as_float32(change), canvas.shape[0]))
