"""Flips that alternate from epoch to epoch."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_images

from halftone import models
from halftone.config import AugmentSettings, Convnet
from halftone.models import alternating_flip
from halftone.models.alternating_flip import AlternatingFlip


def photo_tiles() -> np.ndarray:
    """520 tiles (520, 32, 32, 3) uint8 of two photographs."""
    photos = np.stack(load_sample_images().images)[:, : 13 * 32, : 20 * 32]
    tiles = photos.reshape(2, 13, 32, 20, 32, 3).swapaxes(2, 3)
    return np.ascontiguousarray(tiles.reshape(-1, 32, 32, 3))


def flips(layer: AlternatingFlip, images: np.ndarray, epoch: int) -> np.ndarray:
    """Whether each image is flipped in an epoch, (N,) bool."""
    layer.set_epoch(epoch)
    augmented = layer(images, training=True).numpy()
    is_flipped = (augmented == images[:, :, ::-1]).all(axis=(1, 2, 3))
    is_same = (augmented == images).all(axis=(1, 2, 3))
    assert (is_flipped ^ is_same).all()
    return np.asarray(is_flipped)


def test_each_image_is_flipped_in_every_second_epoch() -> None:
    images, layer = photo_tiles(), AlternatingFlip()
    first, second, third = (flips(layer, images, epoch) for epoch in (1, 2, 3))
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)


def test_about_half_of_the_images_are_flipped() -> None:
    # 4 standard deviations of 520 coins.
    assert abs(flips(AlternatingFlip(), photo_tiles(), 1).mean() - 0.5) < 4 * 0.5 / 520**0.5


def test_images_that_differ_in_one_grey_level_are_drawn_independently() -> None:
    """A sum of pixels, for example, would flip every second one of them."""
    rng = np.random.default_rng(0)
    images = np.repeat(rng.integers(0, 256, (1, 8, 8, 1), dtype=np.uint8), 256, axis=0)
    images[:, 3, 2, 0] = np.arange(256)
    is_flipped = flips(AlternatingFlip(), images, 1)
    changes = (is_flipped[1:] != is_flipped[:-1]).mean()
    assert 0.2 < is_flipped.mean() < 0.8
    assert 0.1 < changes < 0.9


def test_flip_depends_on_the_image_alone() -> None:
    images = photo_tiles()[:64]
    expected = flips(AlternatingFlip(), images, 5)
    order = np.random.default_rng(1).permutation(64)
    layer = AlternatingFlip()
    shuffled = np.concatenate([flips(layer, images[part], 5) for part in np.split(order, 8)])
    np.testing.assert_array_equal(shuffled, expected[order])


def test_bit_is_that_of_the_formula() -> None:
    images = photo_tiles()[:40]
    factors = np.random.default_rng(0).integers(0, 2**32, (32, 32, 3), dtype=np.int64)
    sums = [int((image.astype(object) * factors).sum()) % 2**32 for image in images]
    expected = [(total >> 31) % 2 for total in sums]
    assert flips(AlternatingFlip(), images, 2).tolist() == [bit == 1 for bit in expected]


def test_of_large_images_a_grid_of_pixels_counts() -> None:
    images = np.random.default_rng(2).integers(0, 256, (64, 130, 300, 1), dtype=np.uint8)
    expected = flips(AlternatingFlip(), images, 1)
    assert 16 < expected.sum() < 48
    off_grid = images.copy()
    off_grid[:, 1::3] = 0
    off_grid[:, :, 1::5] = 0
    np.testing.assert_array_equal(flips(AlternatingFlip(), off_grid, 1), expected)


def test_inference_is_unchanged() -> None:
    images = photo_tiles()[:4]
    np.testing.assert_array_equal(AlternatingFlip()(images).numpy(), images)


def test_network_has_no_more_weights_and_gets_the_epoch() -> None:
    arguments = [Convnet(filters=(2,), dense=()).model_dump(), (32, 32, 3), 2, "0..1"]
    plain = models.build_model(*arguments)
    augment = AugmentSettings(flip="alternating").image_settings()
    network = models.build_model(*arguments, augment=augment)
    assert len(network.variables) == len(plain.variables)
    plain.set_weights(network.get_weights())
    step = tf.function(lambda images: network(images, training=True))
    images = photo_tiles()[:16]
    layer = AlternatingFlip()
    for epoch in (1, 2):  # without a new trace of the function
        is_flipped = flips(layer, images, epoch)[:, None, None, None]
        expected = plain(np.where(is_flipped, images[:, :, ::-1], images)).numpy()
        alternating_flip.set_epoch(network, epoch)
        assert step(images).numpy() == pytest.approx(expected, abs=1e-6)
