"""The background: the same shapes in both pictures of a pair."""

from __future__ import annotations

import numpy as np

from halftone.sample.drawing.arrays import Colour, PointArray
from halftone.sample.drawing.outlines import oval
from halftone.sample.drawing.people import Person


def scene_shapes(person: Person) -> list[tuple[PointArray, Colour]]:
    """Return shapes and their colours, back to front; none for a plain scene."""
    rng = np.random.default_rng(person.scene_seed)
    colours = [np.array(c) for c in person.scene_colours]
    if person.scene == "blobs":
        return [
            (oval(*rng.uniform(0, 1, 2), *([rng.uniform(0.03, 0.14)] * 2)), colours[i % 4])
            for i in range(26)
        ]
    if person.scene == "blocks":
        corners = rng.uniform(-0.1, 0.9, (9, 2))
        sides = rng.uniform(0.08, 0.5, (9, 2))
        return [
            (np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]), colours[i % 4])
            for i, ((x, y), (w, h)) in enumerate(zip(corners, sides))
        ]
    if person.scene == "rays":
        turns = np.sort(rng.uniform(0, 2 * np.pi, 28))
        ends = np.array(person.centre) + 1.5 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        return [
            (np.array([person.centre, ends[i], ends[i + 1]]), colours[i % 4])
            for i in range(0, 27, 2)
        ]
    return []
