"""Random resized crops and the network's own resizing, compared with Pillow and OpenCV."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from halftone import models
from halftone.config import AugmentSettings, Convnet
from halftone.models.boxes import Boxes
from halftone.models.resized_crop import RandomResizedCrop

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 40, 30, 3), dtype=np.uint8)
# Top, bottom, left, right of a box in each image: all, enlarged, reduced, and a single pixel.
BOXES = [
    (0, 40, 0, 30),
    (3, 9, 2, 9),
    (1, 40, 0, 29),
    (39, 40, 29, 30),
    (0, 16, 5, 17),
    (9, 30, 0, 8),
]


def boxes_of(layer: RandomResizedCrop, height: int, width: int, count: int) -> np.ndarray:
    """Draw (count, 4) boxes, as float."""
    images = tf.zeros((count, height, width, 1))
    return np.stack(layer._draw_boxes(images, height, width), axis=1).astype(float)


def test_parts_are_resized_as_by_pillow() -> None:
    layer = RandomResizedCrop(0.1, (16, 12))
    layer._draw_boxes = lambda *_: Boxes(*tf.constant(BOXES, tf.int32).numpy().T)
    actual = layer(IMAGES, training=True).numpy()
    assert actual.shape == (6, 16, 12, 3)
    for image, (top, bottom, left, right), resized in zip(IMAGES, BOXES, actual):
        part = image[top:bottom, left:right].astype(np.float32)
        for channel in range(3):
            pillow = Image.fromarray(part[..., channel])  # of mode F
            expected = np.asarray(pillow.resize((12, 16), Image.Resampling.BILINEAR))
            np.testing.assert_allclose(resized[..., channel], expected, atol=1e-2)
    # A part of the output's size is a copy.
    np.testing.assert_allclose(actual[4], IMAGES[4, :16, 5:17], atol=1e-3)


def test_area_and_aspect_ratio_of_parts() -> None:
    layer = RandomResizedCrop(0.08, (8, 8))
    top, bottom, left, right = boxes_of(layer, 200, 200, 5_000).T
    assert (top >= 0).all() & (left >= 0).all() & (bottom <= 200).all() & (right <= 200).all()
    heights, widths = bottom - top, right - left
    aspects, areas = widths / heights, heights * widths / 200**2
    assert 0.73 < aspects.min() < 0.77 < 1.3 < aspects.max() < 1.36
    assert 0.07 < areas.min() < 0.1
    assert 0.95 < areas.max() <= 1
    assert np.log(aspects).mean() == pytest.approx(0, abs=0.02)
    # Small parts always fit, so that their areas and aspect ratios are uniform.
    is_small = areas < 0.5
    counts, _ = np.histogram(areas[is_small], bins=5, range=(0.08, 0.5))
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 24
    log_aspects = np.log(aspects[is_small]) / math.log(4 / 3)
    assert np.abs(np.quantile(log_aspects, [0.25, 0.5, 0.75]) - [-0.5, 0, 0.5]).max() < 0.08
    # The place is uniform over those that are inside of the image.
    place = top[is_small] / (200 - heights[is_small])
    assert np.abs(np.quantile(place, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.05


def test_long_images_without_a_fitting_part_have_the_centre() -> None:
    wide = boxes_of(RandomResizedCrop(0.9, (8, 8)), 10, 100, 20)
    assert (wide == [0, 10, 43, 56]).all()
    high = boxes_of(RandomResizedCrop(0.9, (8, 8)), 100, 10, 20)
    assert (high == [43, 56, 0, 10]).all()


@pytest.mark.parametrize("size", [(16, 12), (20, 15), (13, 30)])
def test_inference_resizes_as_opencv(size: tuple[int, int]) -> None:
    model = models.build_model(
        Convnet(filters=(2,), dense=()).model_dump(), (40, 30, 3), 2, "0..1", input_size=size
    )
    assert model.input_shape == (None, 40, 30, 3)
    resize = tf.keras.Model(model.input, model.get_layer("resize").output)
    expected = [
        cv2.resize(image.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
        for image in IMAGES
    ]
    np.testing.assert_allclose(resize(IMAGES).numpy(), expected, atol=0.05)


def test_network_with_and_without_augmentation_predict_the_same(tmp_path: Path) -> None:
    family = Convnet(filters=(2,), dense=(4,)).model_dump()
    arguments = [family, (40, 30, 3), 3, "0..1"]
    plain = models.build_model(*arguments, input_size=(16, 12))
    for settings in ({"flip": "both"}, {"random_resized_crop_min_area": 0.5}):
        augment = AugmentSettings(**settings).image_settings()
        augmented = models.build_model(*arguments, augment=augment, input_size=(16, 12))
        augmented.set_weights(plain.get_weights())
        expected = plain(IMAGES).numpy()
        np.testing.assert_array_equal(augmented(IMAGES, training=False).numpy(), expected)
        assert (augmented(IMAGES, training=True).numpy() != expected).any()
    # Keras opens it without Halftone.
    plain.save(tmp_path / "network.keras")
    loaded = tf.keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(IMAGES).numpy(), plain(IMAGES).numpy())


def test_crop_without_another_input_size() -> None:
    augment = AugmentSettings(random_resized_crop_min_area=0.3).image_settings()
    arguments = [Convnet(filters=(2,), dense=()).model_dump(), (40, 30, 3), 2, "0..1"]
    augmented = models.build_model(*arguments, augment=augment)
    plain = models.build_model(*arguments)
    plain.set_weights(augmented.get_weights())
    np.testing.assert_array_equal(augmented(IMAGES).numpy(), plain(IMAGES).numpy())
    assert "resize" not in [layer.name for layer in plain.layers]
