"""Draws one person twice: as a photo-like and as a comic-like face. All of it is synthetic.

Every picture is a pure function of (seed, pair, kind, size_px). Both kinds get their exposure,
contrast, colourfulness and file size from the same draws: a ruler laid on any of these must not
tell them apart, or the sample would test nothing.

Geometry is in units of the picture's side (x right, y down); a face's own points are (u, v) in
half head widths from its middle. Colours are BGR, 0 to 255.
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
    """One picture of the sample as JPEG bytes, (size_px, size_px); kind is one of KINDS."""
    who = create_person(seed, pair)
    rng = np.random.default_rng([seed, pair, 1 + PICTURE_KINDS.index(kind)])
    drawn = draw_photo(who, rng, size_px) if kind == "faces" else draw_comic(who, rng, size_px)
    return encode_jpeg(add_grain(resize_square(adjust_tones(drawn, who), size_px), rng), rng)
