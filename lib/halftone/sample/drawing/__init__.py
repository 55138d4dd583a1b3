"""Draw a made-up person twice: as a photo-like and as a comic-like face.

Every picture is a pure function of (seed, pair, kind, size_px). Exposure, contrast, colourfulness
and file size of both kinds have the same distributions, so that no classifier can separate the
kinds by them alone.

Geometry is in units of the picture's side (x right, y down). Points of a face are (u, v), in half
head widths from its centre. Colours are BGR, 0 to 255.
"""

from __future__ import annotations

import numpy as np

from halftone.sample.drawing.comic import draw_comic
from halftone.sample.drawing.developing import add_grain, adjust_tones, encode_jpeg
from halftone.sample.drawing.marks import resize_square
from halftone.sample.drawing.people import Person, create_person
from halftone.sample.drawing.photo import draw_photo

__all__ = ["PICTURE_KINDS", "Person", "create_person", "draw_jpeg"]

PICTURE_KINDS = ("faces", "comics")


def draw_jpeg(seed: int, pair: int, kind: str, size_px: int) -> bytes:
    """Draw one (size_px, size_px) picture as a JPEG; `kind` is one of PICTURE_KINDS."""
    person = create_person(seed, pair)
    rng = np.random.default_rng([seed, pair, 1 + PICTURE_KINDS.index(kind)])
    draw = draw_photo if kind == "faces" else draw_comic
    picture = adjust_tones(draw(person, rng, size_px), person)
    return encode_jpeg(add_grain(resize_square(picture, size_px), rng), rng)
