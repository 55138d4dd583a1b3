"""The pen of a comic: the style of the whole picture, and its outlines and shadows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import ByteImage, Colour, FloatImage, PointArray, as_float32
from halftone.sample.drawing.marks import fill, stroke

_INK = np.array((28.0, 24.0, 26.0))


@dataclass(frozen=True)
class Pen:
    """The style of one comic."""

    cartoon: float  # 0: a photo's proportions, 1: large eyes and a small chin
    width: float  # of an outline
    ink: Colour
    num_tones: int  # steps of light on the skin
    screen: str  # fills the shadows: none, dots or hatch
    edge_blur: float  # width of the blurred edges between tones


def choose_pen(rng: Generator) -> Pen:
    return Pen(
        cartoon=float(rng.uniform(0.35, 1)),
        width=float(rng.uniform(0.0045, 0.009)),
        ink=_INK + rng.uniform(0, 30),
        num_tones=int(rng.integers(2, 4)),
        screen=str(rng.choice(["none", "dots", "hatch"])),
        edge_blur=float(rng.choice([0.001, 0.004, 0.02])),
    )


def ink_shape(
    canvas: ByteImage, pen: Pen, points: PointArray, colour: Any, line: float = 1.0
) -> None:
    """Draw a flat shape and its outline; `line` is in pen widths, 0 draws no outline."""
    fill(canvas, points, canvas.shape[0], colour)
    if line:
        ink_outline(canvas, pen, points, line)


def ink_outline(canvas: ByteImage, pen: Pen, points: PointArray, line: float = 1.0) -> None:
    stroke(canvas, [np.concatenate([points, points[:1]])], pen.width * line, pen.ink)


@functools.cache
def shadow_screen(kind: str, size_px: int) -> FloatImage:
    """A printer's screen (dots) or hatching by pen, 0 to 1: (size_px, size_px)."""
    step = np.float32(2 * np.pi / (size_px * 0.011))
    y, x = np.mgrid[0:size_px, 0:size_px].astype(np.float32) * step
    wave = np.cos(x + y) * np.cos(x - y) if kind == "dots" else np.cos(0.8 * x + 0.6 * y)
    return as_float32(np.clip(wave * 4 + 0.5, 0, 1))
