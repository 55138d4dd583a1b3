"""Outlines of the parts of a person, shared by both kinds of picture.

`cartoon` is 0 for a photo's proportions, up to 1 for a comic's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import PointArray
from halftone.sample.drawing.people import Person


def face_to_picture(person: Person, uv: Any, turn: bool = True) -> PointArray:
    """Convert face points to picture points; `turn` rotates them with the head's yaw."""
    u, v = np.asarray(uv, float).reshape(-1, 2).T
    if turn:
        u = np.sin(np.arcsin(np.clip(u, -1, 1)) + person.yaw_rad)
    cos, sin = np.cos(person.tilt_rad), np.sin(person.tilt_rad)
    x = person.centre[0] + person.half_head_width * (u * cos - v * sin)
    y = person.centre[1] + person.half_head_width * (u * sin + v * cos)
    return np.stack([x, y], axis=1)


def oval(u: float, v: float, ru: float, rv: float, start: float = 0, end: float = 2) -> PointArray:
    """Points of an ellipse, from `start` to `end` half turns, clockwise from the right."""
    t = np.linspace(start * np.pi, end * np.pi, 33)
    return np.stack([u + ru * np.cos(t), v + rv * np.sin(t)], axis=1)


def head(person: Person, cartoon: float, grow: float = 1.0) -> PointArray:
    outline = oval(0, 0, 1, 1.22)
    below = np.clip(outline[:, 1], 0, None)
    outline[:, 0] *= 1 - (0.10 + 0.16 * person.jaw + 0.16 * cartoon) * below**2
    outline[:, 1] += 0.08 * below
    return outline * grow


def beard(person: Person, cartoon: float) -> PointArray:
    jaw = head(person, cartoon, 1.02)
    low = jaw[(jaw[:, 1] > 0.15)]
    return np.concatenate([low, [(-0.72, 0.38), (-0.4, 0.5), (0, 0.46), (0.4, 0.5), (0.72, 0.38)]])


def lips(person: Person) -> tuple[PointArray, PointArray]:
    """The line between the lips and the opening below it."""
    u = np.linspace(-1, 1, 17)
    half = 0.30 + 0.08 * person.smile
    bend = 0.62 + 0.16 * person.smile * (0.5 - u**2)
    line = np.stack([half * u, bend], axis=1)
    low = np.stack([half * u, bend + 0.22 * person.mouth_open * (1 - u**2)], axis=1)
    return line, np.concatenate([line, low[::-1]])


def front_hair(person: Person, cartoon: float, rng: Generator) -> PointArray:
    """The hair over the forehead: the skull's upper edge, then the hairline back."""
    lift = {"none": 1.0, "short": 1.1, "fringe": 1.12, "long": 1.1, "curly": 1.22}[
        person.hair_style
    ]
    top = oval(0, -0.02, 1.06, 1.22 * lift, 1 - 0.06, 2 + 0.06)
    if person.hair_style == "curly":
        top *= (1 + 0.05 * np.sin(np.linspace(0, 40, len(top))))[:, None]
    if person.hair_style in ("short", "fringe"):
        top *= (1 + rng.uniform(-0.02, 0.05 + 0.04 * cartoon, len(top)))[:, None]
    u = np.linspace(0.98, -0.98, 25)
    if person.hair_style == "fringe":
        zigzag = (np.arange(25) % 4 - 1.5) * (0.035 + 0.05 * cartoon)
        v = -0.34 - 0.1 * np.cos(u * 3) + zigzag + rng.normal(0, 0.015, 25)
    else:
        v = -0.62 - 0.16 * np.cos(1.4 * (u - person.parting)) + 0.55 * np.abs(u) ** 3
    v = np.minimum(v, 0.3 * np.abs(u) ** 6 + 0.1)
    # The hairline rotates with the face, the edge of the skull does not.
    line = np.sin(np.arcsin(u) + 0.7 * person.yaw_rad)
    return np.concatenate([top, np.stack([line, v], axis=1)])


def back_hair(person: Person) -> PointArray:
    if person.hair_style == "long":
        side = np.array(
            [(0.4, -1.25), (0.95, -0.9), (1.2, 0), (1.3, 0.9), (1.3, 1.75), (0.5, 1.95)]
        )
        return _smooth(np.concatenate([side, side[::-1] * (-1, 1)]))
    bumps = 1 + (
        0.06 * np.sin(np.linspace(0, 24 * np.pi, 33)) if person.hair_style == "curly" else 0
    )
    reach = 1.26 if person.hair_style == "curly" else 1.05
    return np.asarray(oval(0, -0.2, reach, reach * 1.08) * np.reshape(bumps, (-1, 1)))


def neck(person: Person) -> PointArray:
    """The neck, in picture coordinates."""
    return face_to_picture(
        person, [(-0.46, 0.7), (-0.5, 1.75), (0, 1.95), (0.5, 1.75), (0.46, 0.7)], turn=False
    )


def shoulders(person: Person) -> PointArray:
    """The shoulders, in picture coordinates; they stay level if the head tilts."""
    side = np.array([(0.0, 1.85), (0.42, 1.62), (0.5, 1.64), (1.5, 1.95), (2.1, 2.4), (2.35, 4.5)])
    body = _smooth(np.concatenate([side, side[:0:-1] * (-1, 1)]))
    return np.asarray(body * person.half_head_width + np.array(person.centre))


def glasses(person: Person) -> list[PointArray]:
    """Two frames, the bridge and two temples, in picture coordinates."""
    paths = [face_to_picture(person, oval(s * 0.42, 0.02, 0.29, 0.25)) for s in (-1, 1)]
    paths.append(face_to_picture(person, [(-0.13, 0), (0, -0.04), (0.13, 0)]))
    paths += [face_to_picture(person, [(s * 0.71, 0), (s * 0.99, -0.04)]) for s in (-1, 1)]
    return paths


def _smooth(points: Any) -> PointArray:
    """Cut the corners of a closed outline, three times (Chaikin 1974)."""
    outline = np.asarray(points, float)
    for _ in range(3):
        successors = np.roll(outline, -1, axis=0)
        first, second = 0.75 * outline + 0.25 * successors, 0.25 * outline + 0.75 * successors
        outline = np.stack([first, second], axis=1).reshape(-1, 2)
    return outline
