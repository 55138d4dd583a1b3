"""Unit noise for skin, walls, hair, film and paper, all taken from one tile."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import FloatImage

_TILE_PX = 512


@functools.cache
def noise_tile() -> FloatImage:
    """The tile of all pictures: slicing it is much faster than drawing new normal numbers."""
    return np.random.default_rng(0).standard_normal((_TILE_PX, _TILE_PX)).astype(np.float32)


def noise(rng: Generator, size_px: int, grain_px: float) -> FloatImage:
    """A random part of the tile, (size_px, size_px), with grains of about `grain_px`."""
    shift = rng.integers(0, _TILE_PX, 2)
    tile = np.roll(noise_tile(), tuple(shift), axis=(0, 1))
    side = max(2, int(np.ceil(size_px / grain_px)))
    if side > _TILE_PX:
        tile = np.tile(tile, (-(-side // _TILE_PX),) * 2)
    tile = np.ascontiguousarray(tile[:side, :side])
    if side == size_px:
        return tile
    return cv2.resize(tile, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
