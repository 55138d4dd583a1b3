"""Random crops of padded images, compared with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.models.padded_crop import RandomPaddedCrop


@settings(max_examples=40)
@given(st.data())
def test_crop_is_that_of_the_padded_image(data: Any) -> None:
    height, width = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    padding = data.draw(st.integers(1, min(height, width) - 1))
    # As TensorFlow draws them.
    number = st.integers(0, 2**23 - 1).map(lambda number: number / 2**23)
    number |= st.just(1 - 2**-23)
    fractions = np.array(data.draw(st.lists(st.tuples(number, number), min_size=3, max_size=3)))
    images = np.random.default_rng(0).integers(0, 256, (3, height, width, 2), dtype=np.uint8)
    layer = RandomPaddedCrop(padding)
    layer.draw_fractions = lambda *_: tf.constant(fractions.T, tf.float32)
    actual = layer(images, training=True).numpy()
    for image, place, cropped in zip(images, fractions, actual):
        sides = ((padding, padding), (padding, padding), (0, 0))
        padded = np.pad(image, sides, mode="reflect")
        top, left = np.floor(place * (2 * padding + 1)).astype(int)
        np.testing.assert_array_equal(cropped, padded[top : top + height, left : left + width])


def test_all_places_are_equally_likely() -> None:
    y, x = np.mgrid[:8, :8].astype(np.uint8)
    images = np.repeat(np.stack([y, x], axis=-1)[np.newaxis], 10_000, axis=0)
    cropped = RandomPaddedCrop(2)(images, training=True).numpy()
    # The middle is never padding.
    downs, rights = (cropped[:, 4, 4] - 4).astype(int).T
    counts, *_ = np.histogram2d(downs, rights, bins=[np.arange(-2.5, 3)] * 2)
    assert counts.sum() == 10_000
    # 400 each; chi-squared of 24 degrees of freedom exceeds 59 once in 10,000 times.
    assert ((counts - 400) ** 2 / 400).sum() < 59


def test_inference_is_unchanged() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 1), dtype=np.uint8)
    np.testing.assert_array_equal(RandomPaddedCrop(3)(images).numpy(), images)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pixels_are_moved_and_not_changed(dtype: Any) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (4, 6, 6, 3)).astype(dtype)
    for image, cropped in zip(images, RandomPaddedCrop(5)(images, training=True).numpy()):
        assert set(cropped.ravel()) <= set(image.ravel().astype(np.float32))
