"""Random hue and saturation, compared with the Python library and with TensorFlow's functions."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from halftone.models.colours import RandomColour

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
UNIFORM = np.array([[-1, -0.6, -0.2, 0.2, 0.6, 0.999], [0.9, -1, 0.5, -0.5, 0, 0.2]], np.float32)


def test_colours_are_those_of_colorsys() -> None:
    layer = RandomColour(0.3, 0.8)
    layer.draw_uniform = lambda *_: tf.constant(UNIFORM)
    actual = layer(IMAGES, training=True).numpy()
    for row, (hue_change, saturation_change) in enumerate(UNIFORM.T):
        for pixel, changed in zip(IMAGES[row].reshape(-1, 3), actual[row].reshape(-1, 3)):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
            saturation = min(1, saturation * (1 + 0.8 * saturation_change))
            expected = colorsys.hsv_to_rgb((hue + 0.3 * hue_change) % 1, saturation, value)
            np.testing.assert_allclose(changed, 255 * np.array(expected), atol=0.01)


def test_each_change_is_that_of_tensorflow() -> None:
    images = IMAGES.astype(np.float32) / 255
    for fractions, adjust in (
        ((0.4, 0.0), lambda image, hue, _: tf.image.adjust_hue(image, 0.4 * hue)),
        ((0.0, 0.7), lambda image, _, factor: tf.image.adjust_saturation(image, 1 + 0.7 * factor)),
    ):
        layer = RandomColour(*fractions)
        layer.draw_uniform = lambda *_: tf.constant(UNIFORM)
        actual = layer(IMAGES, training=True).numpy() / 255
        for image, changed, numbers in zip(images, actual, UNIFORM.T):
            np.testing.assert_allclose(changed, adjust(image, *numbers), atol=1e-4)


def test_grey_pixels_keep_their_value() -> None:
    grey = np.repeat(IMAGES[..., :1], 3, axis=-1)
    np.testing.assert_allclose(RandomColour(0.5, 1.0)(grey, training=True), grey, atol=0.01)


def test_changes_are_uniform_in_their_range() -> None:
    """Red is at hue 0, so its hue is the change; its saturation is 0.5."""
    red = np.full((4_000, 1, 1, 3), [200, 100, 100], np.uint8)
    changed = RandomColour(0.1, 0.4)(red, training=True).numpy()[:, 0, 0] / 255
    hue, saturation, value = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in changed]).T
    hue = (hue + 0.5) % 1 - 0.5
    np.testing.assert_allclose(value, 200 / 255, atol=1e-5)
    for values, low, high in ((hue, -0.1, 0.1), (saturation, 0.3, 0.7)):
        counts, _ = np.histogram(values, bins=10, range=(low - 1e-4, high + 1e-4))
        assert counts.sum() == 4_000
        # Chi-squared of 9 degrees of freedom exceeds 34 once in 10,000 times.
        assert ((counts - 400) ** 2 / 400).sum() < 34
    assert abs(np.corrcoef(hue, saturation)[0, 1]) < 0.07


def test_inference_is_unchanged() -> None:
    np.testing.assert_array_equal(RandomColour(0.5, 1.0)(IMAGES).numpy(), IMAGES)


@pytest.mark.parametrize("fractions", [(0.2, 0.0), (0.0, 0.2)])
def test_one_setting_leaves_the_other_property(fractions: tuple[float, float]) -> None:
    changed = RandomColour(*fractions)(IMAGES, training=True)
    before = tf.image.rgb_to_hsv(IMAGES / np.float32(255)).numpy()
    after = tf.image.rgb_to_hsv(changed / 255).numpy()
    unchanged = 1 if fractions[0] else 0
    difference = np.abs(after - before)[..., unchanged]
    np.testing.assert_allclose(np.minimum(difference, 1 - difference), 0, atol=1e-3)
    np.testing.assert_allclose(after[..., 2], before[..., 2], atol=1e-3)
