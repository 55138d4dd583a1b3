"""Areas of a reduced decode, whose edges may lie within pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.config import PixelSpec
from halftone.images.fitting import Placement, ReducedPixels, fit_pixels


@given(
    scale=st.sampled_from([0.125, 0.25, 0.5]),
    starts_px=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    origins_px=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    shown_px=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    part_factors=st.tuples(st.floats(1, 2), st.floats(1, 2)),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=300)
def test_pixels_are_the_means_of_their_areas(
    scale: float,
    starts_px: tuple[int, int],
    origins_px: tuple[int, int],
    shown_px: tuple[int, int],
    part_factors: tuple[float, float],
    channels: int,
    seed: int,
) -> None:
    smallest_px = 3 / scale  # of the source, per pixel of the result
    part_px = [int(n * smallest_px * f) + 1 for n, f in zip(shown_px, part_factors)]
    ends_px = [sum(parts) for parts in zip(starts_px, origins_px, part_px)]
    rng = np.random.default_rng(seed)
    stored_px = [int(np.ceil(end_px * scale)) + 1 for end_px in ends_px]
    pixels = rng.integers(0, 256, (*stored_px, channels), np.uint8)
    origins = [origin_px * scale for origin_px in origins_px]
    placement = Placement(*starts_px, *part_px, *shown_px)
    spec = PixelSpec(height_px=shown_px[0], width_px=shown_px[1], channels=channels)
    got = fit_pixels(ReducedPixels(pixels, scale, *origins), placement, spec)

    means = pixels.astype(float)
    for axis in (0, 1):
        first = starts_px[axis] + origins_px[axis]
        source = means.repeat(round(1 / scale), axis).take(
            range(first, first + part_px[axis]), axis
        )
        parts = np.split(source.repeat(shown_px[axis], axis), shown_px[axis], axis)
        means = np.stack([part.mean(axis) for part in parts], axis)
    assert got.flags.c_contiguous
    assert np.abs(got - means).max() <= 1.02  # rounded once or twice
