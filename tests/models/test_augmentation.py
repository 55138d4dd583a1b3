from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone import models
from halftone.config import AugmentSettings, Convnet
from halftone.models import augmentation

ALL = {
    "flip": "both",
    "shift_fraction": 0.2,
    "rotate_degrees": 15.0,
    "zoom_fraction": 0.2,
    "brightness_fraction": 0.2,
    "contrast_fraction": 0.2,
    "hue_fraction": 0.1,
    "saturation_fraction": 0.3,
    "cutout_px": 4,
    "erase_probability": 0.9,
}
MEANS = [100.0, 120.0, 140.0]
# In place of a shift.
CROPS = [{"crop_padding_px": 2}, {"random_resized_crop_min_area": 0.3}]
EACH = [*({name: value} for name, value in ALL.items()), *CROPS]


def build_augmentation(shape: tuple[int, int, int], **augment: Any) -> tf.keras.Model:
    pixels = tf.keras.Input(shape, dtype="uint8")
    settings = AugmentSettings(**augment).image_settings()
    means = MEANS[: shape[2]]
    return tf.keras.Model(
        pixels, augmentation.add_augmentation(pixels, **settings, input_size=shape[:2], means=means)
    )


def augment_copies(image: Any, count: int, **augment: Any) -> np.ndarray:
    """Augment `count` copies of a (height, width, channels) image, as in one training step."""
    pixels = np.repeat(np.asarray(image, np.uint8)[np.newaxis], count, axis=0)
    return build_augmentation(pixels.shape[1:], **augment)(pixels, training=True).numpy()


def coordinate_image(height: int, width: int) -> np.ndarray:
    """An image whose two channels are the coordinates x and y of each pixel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], axis=-1)


def rotation_and_step(image: np.ndarray) -> tuple[float, float]:
    """The degrees and the step in pixels by which an augmented `coordinate_image` is sampled."""
    middle = image.shape[0] // 2
    dx, dy = image[middle, middle + 1] - image[middle, middle]
    return math.degrees(math.atan2(dy, dx)), math.hypot(dx, dy)


@pytest.mark.parametrize(
    ("flip", "expected"),
    [
        ("horizontal", {(1, 2, 3, 4), (2, 1, 4, 3)}),
        ("vertical", {(1, 2, 3, 4), (3, 4, 1, 2)}),
        ("both", {(1, 2, 3, 4), (2, 1, 4, 3), (3, 4, 1, 2), (4, 3, 2, 1)}),
    ],
)
def test_flips(flip: str, expected: set[tuple[int, ...]]) -> None:
    images = augment_copies([[[1], [2]], [[3], [4]]], 64, flip=flip)
    assert {tuple(image.ravel().tolist()) for image in images} == expected


def test_shift_is_by_whole_pixels_and_filled_from_the_edge() -> None:
    images = augment_copies(coordinate_image(10, 20), 400, shift_fraction=0.2)
    y, x = np.mgrid[:10, :20]
    shifts = set()
    for image in images:
        right, down = 10 - image[5, 10, 0], 5 - image[5, 10, 1]
        shifts.add((right, down))
        np.testing.assert_array_equal(image[..., 0], np.clip(x - right, 0, 19))
        np.testing.assert_array_equal(image[..., 1], np.clip(y - down, 0, 9))
    assert {right for right, _ in shifts} == set(range(-4, 5))
    assert {down for _, down in shifts} == set(range(-2, 3))


@settings(max_examples=30)
@given(st.integers(2, 40), st.floats(0.001, 0.5))
def test_shift_is_at_most_its_fraction(side: int, fraction: float) -> None:
    ramp = np.arange(side).reshape(1, side, 1)
    middle = side // 2
    shifts_px = augment_copies(ramp, 64, shift_fraction=fraction)[:, 0, middle, 0] - middle
    assert np.abs(shifts_px).max() <= fraction * side


def test_rotation_is_about_the_centre_and_within_its_range() -> None:
    images = augment_copies(coordinate_image(21, 21), 200, rotate_degrees=30)
    np.testing.assert_allclose(images[:, 10, 10], np.full((200, 2), 10), atol=1e-4)
    degrees, steps = np.array([rotation_and_step(image) for image in images]).T
    np.testing.assert_allclose(steps, 1, atol=1e-4)
    assert -30 <= degrees.min() < -20 < 20 < degrees.max() <= 30
    # Pixels outside of the input are filled from its edge.
    np.testing.assert_allclose([images.min(), images.max()], [0, 20], atol=1e-4)


def test_rotation_by_90_degrees() -> None:
    layer = augmentation.RandomPlacement(0, 90, 0)
    layer.draw_uniform = lambda *_: tf.constant([[1.0], [0], [0], [0]])
    images = layer(np.array([[[[1], [2]], [[3], [4]]]], np.uint8), training=True).numpy()
    np.testing.assert_allclose(images.reshape(2, 2), [[2, 4], [1, 3]], atol=1e-5)


def test_zoom_is_about_the_centre_and_keeps_the_aspect_ratio() -> None:
    images = augment_copies(coordinate_image(11, 21), 200, zoom_fraction=0.4)
    np.testing.assert_allclose(images[:, 5, 10], np.full((200, 2), (10, 5)), atol=1e-4)
    step = images[:, 5, 11, 0] - 10
    np.testing.assert_allclose(images[:, 6, 10, 1] - 5, step, atol=1e-4)
    assert 0.6 <= step.min() < 0.7 < 1.3 < step.max() <= 1.4


def test_shift_rotation_and_zoom_are_one_layer() -> None:
    augment = {"shift_fraction": 0.1, "rotate_degrees": 20, "zoom_fraction": 0.2}
    assert len(build_augmentation((41, 41, 2), **augment).layers) == 2
    images = augment_copies(coordinate_image(41, 41), 200, **augment)
    degrees, steps = np.array([rotation_and_step(image) for image in images]).T
    assert -20 <= degrees.min() < -10 < 10 < degrees.max() <= 20
    assert 0.8 <= steps.min() < 0.9 < 1.1 < steps.max() <= 1.2
    # The shift moves the centre by at most 4 px in each direction.
    offset = np.linalg.norm(images[:, 20, 20] - 20, axis=1)
    assert 4 < offset.max() <= 1.2 * 4 * math.sqrt(2)


def test_brightness_is_within_its_range_and_clipped_to_grey_levels() -> None:
    images = augment_copies(np.full((2, 2, 1), 100), 200, brightness_fraction=0.1)
    assert (images == images[:, :1, :1]).all()
    assert 74.5 <= images.min() < 80 < 120 < images.max() <= 125.5
    assert augment_copies(np.full((2, 2, 1), 250), 200, brightness_fraction=0.1).max() == 255
    assert augment_copies(np.full((2, 2, 1), 5), 200, brightness_fraction=0.1).min() == 0


def test_contrast_is_about_the_mean_of_each_channel() -> None:
    images = augment_copies([[[100, 20], [150, 30]]], 200, contrast_fraction=0.5)
    factors = (images[:, 0, 1, 0] - 125) / 25
    assert 0.5 <= factors.min() < 0.6 < 1.4 < factors.max() <= 1.5
    expected = np.stack([125 - 25 * factors, 25 - 5 * factors], axis=-1)
    np.testing.assert_allclose(images[:, 0, 0], expected, atol=1e-4)
    clipped = augment_copies([[[0], [255]]], 200, contrast_fraction=0.5)
    assert (clipped.min(), clipped.max()) == (0, 255)


@pytest.mark.parametrize("augment", EACH, ids=str)
def test_each_image_of_a_step_is_augmented_independently(augment: dict[str, Any]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3))
    images = augment_copies(image, 64, **augment)
    num_different = len({augmented.tobytes() for augmented in images})
    # Of 4, 25, 25, 144; about a tenth of the images are not erased.
    expected = {
        "flip": 4,
        "shift_fraction": 15,
        "crop_padding_px": 15,
        "cutout_px": 40,
        "erase_probability": 40,
        "random_resized_crop_min_area": 40,
    }
    assert num_different >= expected.get(next(iter(augment)), 64)


@pytest.mark.parametrize("augment", EACH, ids=str)
def test_one_setting_adds_one_layer(augment: dict[str, Any]) -> None:
    assert len(build_augmentation((8, 8, 3), **augment).layers) == 2  # the input layer and its own


def test_defaults_add_no_layer() -> None:
    assert len(build_augmentation((8, 8, 1)).layers) == 1
    arguments = [Convnet(filters=(2,), dense=()).model_dump(), (8, 8, 1), 2, "0..1"]
    plain = models.build_model(*arguments, augment=AugmentSettings().image_settings())
    assert len(plain.layers) == len(models.build_model(*arguments).layers)


@pytest.fixture(params=["float32", "mixed_float16", "mixed_bfloat16"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    tf.keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    tf.keras.mixed_precision.set_global_policy("float32")


def networks() -> tuple[tf.keras.Model, tf.keras.Model]:
    """The same network with and without augmentation."""
    family = Convnet(filters=(4,), batch_norm=True, dense=(8,), dense_dropout=0.5)
    arguments = [family.model_dump(), (12, 10, 3), 3, "standard", (MEANS, [50, 60, 70])]
    augment = AugmentSettings(**ALL).image_settings()
    augmented = models.build_model(*arguments, augment=augment)
    plain = models.build_model(*arguments)
    plain.set_weights(augmented.get_weights())
    return augmented, plain


def test_network_without_augmentation_predicts_the_same_with_the_same_weights(
    precision: str,
) -> None:
    augmented, plain = networks()
    shapes = [weight.shape for weight in augmented.get_weights()]
    assert shapes == [weight.shape for weight in plain.get_weights()]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)
    expected = plain(pixels, training=False).numpy()
    np.testing.assert_array_equal(augmented(pixels, training=False).numpy(), expected)
    np.testing.assert_array_equal(augmented.predict(pixels, verbose=0), expected)
    assert (augmented(pixels, training=True).numpy() != expected).any()


def test_augmentation_stays_float32_under_any_policy(precision: str) -> None:
    augmented, _ = networks()
    dtypes = {type(layer).__name__: layer.compute_dtype for layer in augmented.layers}
    names = ("RandomFlip", "RandomPlacement", "RandomBrightness", "RandomContrast", "Rescaling")
    assert {name: dtypes[name] for name in names} == dict.fromkeys(names, "float32")
    assert dtypes["Conv2D"] == precision.removeprefix("mixed_")
    assert augmented.get_layer("normalise").output.dtype == "float32"
    assert augmented.output.dtype == "float32"


def test_parameters_are_the_fields_of_the_config() -> None:
    parameters = set(inspect.signature(augmentation.add_augmentation).parameters)
    assert parameters - {"x", "input_size", "means"} == set(AugmentSettings().image_settings())


# Configures a process as a training does, and prints a digest of the pixels of two steps per seed.
_STEPS = """
import hashlib, sys
import numpy as np, tensorflow as tf
from halftone.training import determinism
from halftone.models import augmentation
from halftone.feed.world import World
determinism.configure_process(World(), 7, "mixed_bfloat16")
pixels = tf.keras.Input((16, 16, 3), dtype="uint8")
augmented = augmentation.add_augmentation(pixels, **eval(sys.argv[1]))
model = tf.keras.Model(pixels, augmented)
step = tf.function(lambda images: model(images, training=True))
images = np.random.default_rng(0).integers(0, 256, (32, 16, 16, 3), dtype=np.uint8)
for seed in ("1:1:0", "1:2:0", "1:1:0"):
    determinism.reseed(model, seed)
    steps = [step(images).numpy().tobytes() for _ in range(2)]
    assert steps[0] != steps[1]
    print(hashlib.blake2b(b"".join(steps), digest_size=8).hexdigest())
"""


def test_augmentation_is_reproducible_by_process_and_seed() -> None:
    settings = AugmentSettings(**ALL).image_settings()
    arguments = {**settings, "input_size": (16, 16), "means": MEANS}
    command = [sys.executable, "-c", _STEPS, repr(arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    digests = [run.communicate(timeout=120)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    first, second, again = digests[0]
    assert first == again != second
    assert digests[0] == digests[1]
