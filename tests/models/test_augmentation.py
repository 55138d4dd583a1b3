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
}
EACH = [{name: value} for name, value in ALL.items()]


def layers(shape: tuple[int, int, int], **augment: Any) -> tf.keras.Model:
    pixels = tf.keras.Input(shape, dtype="uint8")
    return tf.keras.Model(
        pixels, augmentation.add_augmentation(pixels, **AugmentSettings(**augment).model_dump())
    )


def changed(image: Any, count: int, **augment: Any) -> np.ndarray:
    """`count` changed versions of one (height, width, channels) image, drawn as in one step."""
    pixels = np.repeat(np.asarray(image, np.uint8)[np.newaxis], count, axis=0)
    return layers(pixels.shape[1:], **augment)(pixels, training=True).numpy()


def places(height: int, width: int) -> np.ndarray:
    """An image whose two channels say where a pixel lies: x and y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], axis=-1)


def turned(image: np.ndarray) -> tuple[float, float]:
    """By how many degrees, and at what step in pixels, an image of `places` is read."""
    middle = image.shape[0] // 2
    along, across = image[middle, middle + 1] - image[middle, middle]
    return math.degrees(math.atan2(across, along)), math.hypot(along, across)


@pytest.mark.parametrize(
    ("flip", "expected"),
    [
        ("horizontal", {(1, 2, 3, 4), (2, 1, 4, 3)}),
        ("vertical", {(1, 2, 3, 4), (3, 4, 1, 2)}),
        ("both", {(1, 2, 3, 4), (2, 1, 4, 3), (3, 4, 1, 2), (4, 3, 2, 1)}),
    ],
)
def test_some_images_are_flipped(flip: str, expected: set[tuple[int, ...]]) -> None:
    got = changed([[[1], [2]], [[3], [4]]], 64, flip=flip)
    assert {tuple(image.ravel().tolist()) for image in got} == expected


def test_a_shift_is_by_whole_pixels_and_the_edge_fills_what_is_left() -> None:
    got = changed(places(10, 20), 400, shift_fraction=0.2)
    y, x = np.mgrid[:10, :20]
    seen = set()
    for image in got:
        right, down = 10 - image[5, 10, 0], 5 - image[5, 10, 1]
        seen.add((right, down))
        np.testing.assert_array_equal(image[..., 0], np.clip(x - right, 0, 19))
        np.testing.assert_array_equal(image[..., 1], np.clip(y - down, 0, 9))
    assert {right for right, _ in seen} == set(range(-4, 5))
    assert {down for _, down in seen} == set(range(-2, 3))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.floats(0.001, 0.5))
def test_no_shift_is_above_its_fraction(side: int, fraction: float) -> None:
    ramp = np.arange(side).reshape(1, side, 1)
    middle = side // 2
    got = changed(ramp, 64, shift_fraction=fraction)[:, 0, middle, 0] - middle
    assert np.abs(got).max() <= fraction * side


def test_a_rotation_is_about_the_centre_and_within_its_range() -> None:
    got = changed(places(21, 21), 200, rotate_degrees=30)
    np.testing.assert_allclose(got[:, 10, 10], np.full((200, 2), 10), atol=1e-4)
    degrees, steps = np.array([turned(image) for image in got]).T
    np.testing.assert_allclose(steps, 1, atol=1e-4)
    assert -30 <= degrees.min() < -20 < 20 < degrees.max() <= 30
    # Where the input has nothing, its edge is seen.
    np.testing.assert_allclose([got.min(), got.max()], [0, 20], atol=1e-4)


def test_a_quarter_turn() -> None:
    layer = augmentation.RandomPlacement(0, 90, 0)
    layer._draw_uniform = lambda *_: tf.constant([[1.0], [0], [0], [0]])
    got = layer(np.array([[[[1], [2]], [[3], [4]]]], np.uint8), training=True).numpy()
    np.testing.assert_allclose(got.reshape(2, 2), [[2, 4], [1, 3]], atol=1e-5)


def test_a_zoom_is_about_the_centre_in_or_out_and_keeps_the_aspect() -> None:
    got = changed(places(11, 21), 200, zoom_fraction=0.4)
    np.testing.assert_allclose(got[:, 5, 10], np.full((200, 2), (10, 5)), atol=1e-4)
    right = got[:, 5, 11, 0] - 10
    np.testing.assert_allclose(got[:, 6, 10, 1] - 5, right, atol=1e-4)
    assert 0.6 <= right.min() < 0.7 < 1.3 < right.max() <= 1.4


def test_all_three_are_done_at_once() -> None:
    augment = {"shift_fraction": 0.1, "rotate_degrees": 20, "zoom_fraction": 0.2}
    assert len(layers((41, 41, 2), **augment).layers) == 2
    got = changed(places(41, 41), 200, **augment)
    degrees, steps = np.array([turned(image) for image in got]).T
    assert -20 <= degrees.min() < -10 < 10 < degrees.max() <= 20
    assert 0.8 <= steps.min() < 0.9 < 1.1 < steps.max() <= 1.2
    # The centre of the input is now at most 4 px away, each way.
    offset = np.linalg.norm(got[:, 20, 20] - 20, axis=1)
    assert 4 < offset.max() <= 1.2 * 4 * math.sqrt(2)


def test_brightness_within_its_range_and_never_outside_grey_levels() -> None:
    got = changed(np.full((2, 2, 1), 100), 200, brightness_fraction=0.1)
    assert (got == got[:, :1, :1]).all()
    assert 74.5 <= got.min() < 80 < 120 < got.max() <= 125.5
    assert changed(np.full((2, 2, 1), 250), 200, brightness_fraction=0.1).max() == 255
    assert changed(np.full((2, 2, 1), 5), 200, brightness_fraction=0.1).min() == 0


def test_contrast_is_about_the_mean_of_each_channel() -> None:
    got = changed([[[100, 20], [150, 30]]], 200, contrast_fraction=0.5)
    factors = (got[:, 0, 1, 0] - 125) / 25
    assert 0.5 <= factors.min() < 0.6 < 1.4 < factors.max() <= 1.5
    expected = np.stack([125 - 25 * factors, 25 - 5 * factors], axis=-1)
    np.testing.assert_allclose(got[:, 0, 0], expected, atol=1e-4)
    clipped = changed([[[0], [255]]], 200, contrast_fraction=0.5)
    assert (clipped.min(), clipped.max()) == (0, 255)


@pytest.mark.parametrize("augment", EACH, ids=str)
def test_every_image_of_a_step_is_changed_on_its_own(augment: dict[str, Any]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3))
    got = changed(image, 64, **augment)
    different = len({one.tobytes() for one in got})
    expected = {"flip": 4, "shift_fraction": 15}  # of 4 and of 25
    assert different >= expected.get(next(iter(augment)), 64)


@pytest.mark.parametrize("augment", EACH, ids=str)
def test_a_layer_for_what_is_asked_and_no_other(augment: dict[str, Any]) -> None:
    assert len(layers((8, 8, 1), **augment).layers) == 2  # the input's and its own


def test_nothing_asked_adds_nothing() -> None:
    assert len(layers((8, 8, 1)).layers) == 1
    build = [Convnet(filters=(2,), dense=()).model_dump(), (8, 8, 1), 2, "0..1"]
    plain = models.build_model(*build, augment=AugmentSettings().model_dump())
    assert len(plain.layers) == len(models.build_model(*build).layers)


@pytest.fixture(params=["float32", "mixed_float16", "mixed_bfloat16"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    tf.keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    tf.keras.mixed_precision.set_global_policy("float32")


def networks() -> tuple[tf.keras.Model, tf.keras.Model]:
    """The same network with and without augmentation."""
    family = Convnet(filters=(4,), batch_norm=True, dense=(8,), dense_dropout=0.5)
    build = [family.model_dump(), (12, 10, 3), 3, "standard", ([100, 120, 140], [50, 60, 70])]
    augmented, plain = models.build_model(*build, augment=ALL), models.build_model(*build)
    plain.set_weights(augmented.get_weights())
    return augmented, plain


def test_trained_weights_fit_the_network_without_and_it_says_the_same(precision: str) -> None:
    augmented, plain = networks()
    shapes = [weight.shape for weight in augmented.get_weights()]
    assert shapes == [weight.shape for weight in plain.get_weights()]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)
    expected = plain(pixels, training=False).numpy()
    np.testing.assert_array_equal(augmented(pixels, training=False).numpy(), expected)
    np.testing.assert_array_equal(augmented.predict(pixels, verbose=0), expected)
    assert (augmented(pixels, training=True).numpy() != expected).any()


def test_pixels_stay_float32_whatever_the_rest_computes_in(precision: str) -> None:
    augmented, _ = networks()
    kinds = {type(layer).__name__: layer.compute_dtype for layer in augmented.layers}
    before = ("RandomFlip", "RandomPlacement", "RandomBrightness", "RandomContrast", "Rescaling")
    assert {name: kinds[name] for name in before} == dict.fromkeys(before, "float32")
    assert kinds["Conv2D"] == precision.removeprefix("mixed_")
    assert augmented.get_layer("normalise").output.dtype == "float32"
    assert augmented.output.dtype == "float32"


def test_it_takes_what_the_config_gives() -> None:
    assert set(inspect.signature(augmentation.add_augmentation).parameters) - {"x"} == set(
        AugmentSettings.model_fields
    )


# As a training makes its work repeatable; prints a digest of two steps' pixels for each seed.
_STEPS = """
import hashlib, sys
import numpy as np, tensorflow as tf
from halftone.training import determinism
from halftone.models import augmentation
from halftone.feed.world import World
determinism.configure_process(World(rank=0, size=1, local_rank=0, local_size=1), 7, "mixed_bfloat16")
pixels = tf.keras.Input((16, 16, 3), dtype="uint8")
model = tf.keras.Model(pixels, augmentation.layers(pixels, **eval(sys.argv[1])))
step = tf.function(lambda images: model(images, training=True))
images = np.random.default_rng(0).integers(0, 256, (32, 16, 16, 3), dtype=np.uint8)
for seed in ("1:1:0", "1:2:0", "1:1:0"):
    determinism.reseed(model, seed)
    steps = [step(images).numpy().tobytes() for _ in range(2)]
    assert steps[0] != steps[1]
    print(hashlib.blake2b(b"".join(steps), digest_size=8).hexdigest())
"""


def test_two_runs_give_the_same_pixels_and_another_epoch_gives_others() -> None:
    command = [sys.executable, "-c", _STEPS, repr(ALL)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [run.communicate(timeout=120)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    first, second, again = said[0]
    assert first == again != second
    assert said[0] == said[1]
