"""Cutout and random erasing, compared with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone import models
from halftone.config import AugmentSettings, Convnet
from halftone.models.erasing import Cutout, RandomErasing

MEANS = [10.0, 20.0, 30.0]


def images_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def record_draws(layer: Any) -> list[np.ndarray]:
    """Let a layer draw as always; the list gets what it draws."""
    draws: list[np.ndarray] = []
    draw = layer.draw_fractions_of

    def recorded(shape: Any) -> tf.Tensor:
        fractions = draw(shape)
        draws.append(fractions.numpy())
        return fractions

    layer.draw_fractions_of = recorded
    return draws


@pytest.mark.parametrize("side", [1, 4, 5])
def test_cutout_is_that_of_the_authors(side: int) -> None:
    layer, images = Cutout(side, MEANS), images_of((200, 9, 7, 3))
    draws = record_draws(layer)
    actual = layer(images, training=True).numpy()
    centres = np.floor(draws[0].T * [9, 7]).astype(int)
    for image, (y, x), covered in zip(images, centres, actual):
        expected = image.astype(np.float32)
        top, left = y - side // 2, x - side // 2
        expected[max(0, top) : top + side, max(0, left) : left + side] = MEANS
        np.testing.assert_array_equal(covered, expected)


def test_all_centres_of_cutout_are_equally_likely() -> None:
    images = np.full((10_000, 6, 4, 1), 255, np.uint8)
    is_covered = Cutout(1, [0.0])(images, training=True).numpy()[..., 0] == 0
    counts = is_covered.sum(axis=0)
    assert counts.sum() == 10_000
    # Chi-squared of 23 degrees of freedom exceeds 57 once in 10,000 times.
    assert ((counts - 10_000 / 24) ** 2 / (10_000 / 24)).sum() < 57


def test_cutout_is_0_after_standard_normalisation() -> None:
    statistics = (MEANS, [50.0, 60.0, 70.0])
    network = models.build_model(
        Convnet(filters=(2,), dense=()).model_dump(),
        (8, 8, 3),
        2,
        "standard",
        statistics,
        AugmentSettings(cutout_px=3).image_settings(),
    )
    normalised = tf.keras.Model(network.input, network.get_layer("normalise").output)
    pixels = normalised(np.full((50, 8, 8, 3), 200, np.uint8), training=True).numpy()
    is_covered = (np.abs(pixels) < 1e-6).all(axis=-1)
    assert set(is_covered.sum(axis=(1, 2))) == {4, 6, 9}
    assert (pixels[~is_covered] > 1).all()


def test_cutout_without_statistics_is_an_error() -> None:
    augment = AugmentSettings(cutout_px=3).image_settings()
    with pytest.raises(ValueError, match="cutout_px 3 needs the dataset's statistics"):
        models.build_model(Convnet().model_dump(), (32, 32, 3), 2, "0..1", augment=augment)


@pytest.mark.parametrize("shape", [(32, 32, 3), (16, 40, 1)])
def test_erasing_is_that_of_the_authors(shape: tuple[int, int, int]) -> None:
    layer, images = RandomErasing(0.5), images_of((300, *shape))
    draws = record_draws(layer)
    actual = layer(images, training=True).numpy()
    (height, width, _), (numbers, noise) = shape, draws
    num_erased = 0
    for row, (image, erased) in enumerate(zip(images, actual)):
        expected = image.astype(np.float32)
        chance, y, x, *sizes = numbers[:, row].astype(float)
        if chance < 0.5:
            for area, aspect in zip(sizes[:10], sizes[10:]):
                area_px = (0.02 + 0.31 * area) * height * width
                aspect = 0.3 + (1 / 0.3 - 0.3) * aspect
                box_height = round((area_px * aspect) ** 0.5)
                box_width = round((area_px / aspect) ** 0.5)
                if box_height < height and box_width < width:
                    top = int(y * (height - box_height + 1))
                    left = int(x * (width - box_width + 1))
                    box = np.s_[top : top + box_height, left : left + box_width]
                    expected[box] = 255 * noise[row][box]
                    num_erased += 1
                    break
        np.testing.assert_allclose(erased, expected, atol=1e-4)
    assert 110 < num_erased < 190


def test_erased_area_and_values() -> None:
    images = np.full((4_000, 40, 40, 1), 300.0, np.float32)
    erased = RandomErasing(1.0)(images, training=True).numpy()
    is_erased = erased < 256
    areas = is_erased.mean(axis=(1, 2, 3))
    assert 0.015 < areas.min() < 0.03
    assert 0.31 < areas.max() < 0.35
    # Uniform from 0.02 to 0.33; the largest and longest ones do not fit and are drawn again.
    assert areas.mean() == pytest.approx(0.175, abs=0.006)
    values = erased[is_erased]
    assert values.mean() == pytest.approx(127.5, abs=1)
    assert (values.min() < 1) & (values.max() > 254)


def test_erase_probability() -> None:
    images = np.full((4_000, 12, 12, 1), 300.0, np.float32)
    is_erased = (RandomErasing(0.25)(images, training=True).numpy() < 256).any(axis=(1, 2, 3))
    assert is_erased.mean() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4_000) ** 0.5)


@pytest.mark.parametrize("layer", [Cutout(3, MEANS), RandomErasing(1.0)])
def test_inference_is_unchanged(layer: Any) -> None:
    images = images_of((4, 8, 8, 3))
    np.testing.assert_array_equal(layer(images).numpy(), images)
