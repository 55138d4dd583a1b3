"""Means over views, compared with NumPy's flips and paddings, each predicted by Keras alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from example_card import card
from halftone import storage
from halftone.config import Config, ConfigError, PixelSpec, config_from_mapping
from halftone.errors import InputError
from halftone.scoring import predict, scoring_job, views
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.views import VIEWS

SETTINGS = ["none", "flip", "flip_translate"]


def small_network(shape: tuple[int, int, int], outputs: int) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(5)
    pixels = tf.keras.Input(shape, dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 32)(pixels)
    x = tf.keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = tf.keras.layers.Flatten()(x)
    activation = "sigmoid" if outputs == 1 else "softmax"
    return tf.keras.Model(pixels, tf.keras.layers.Dense(outputs, activation)(x))


def predict_images(
    monkeypatch: pytest.MonkeyPatch,
    network: Any,
    images: np.ndarray,
    setting: str,
    batch_size: int = 8,
    **predictor: Any,
) -> np.ndarray:
    """Predict as a worker does; the loader is replaced, because it configures TensorFlow."""

    def load(_: str, threads: int, setting: str) -> Any:
        forward = tf.function(lambda batch: views.predict_views(network, batch, VIEWS[setting]))
        return lambda batch: forward(tf.constant(batch)).numpy()

    monkeypatch.setattr(predict, "_load_network", load)
    num_classes = max(2, network.output_shape[-1])
    labels = tuple(f"class {number}" for number in range(num_classes))
    settings = PredictorSettings(
        *("net", "v1", labels, images.shape[1:], batch_size, 1), views=setting, **predictor
    )
    return predict.predict_probabilities(settings, images)


def reference_views(images: np.ndarray, setting: str) -> list[tuple[float, np.ndarray]]:
    """Return the weight and the images of each view."""
    mirrored = images[:, :, ::-1]
    if setting == "none":
        return [(1.0, images)]
    if setting == "flip":
        return [(0.5, images), (0.5, mirrored)]
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
    corners = [padded[:, :-2, :-2], padded[:, 2:, 2:]]
    translated = [view for corner in corners for view in (corner, corner[:, :, ::-1])]
    return [(0.25, images), (0.25, mirrored), *((0.125, view) for view in translated)]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("outputs", "channels"), [(1, 3), (10, 1)])
def test_probabilities_are_means_over_the_views(
    setting: str, outputs: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (11, 6, 5, channels), np.uint8)
    network = small_network(images.shape[1:], outputs)
    by_view = [
        (weight, network.predict(view, verbose=0))
        for weight, view in reference_views(images, setting)
    ]
    expected = sum(weight * output for weight, output in by_view)
    if outputs == 1:
        expected = np.hstack([1 - expected, expected])
    got = predict_images(monkeypatch, network, images, setting)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    # The views differ, so the test could fail.
    assert setting == "none" or np.abs(by_view[0][1] - by_view[-1][1]).max() > 0.01


def test_views_of_an_image_by_hand() -> None:
    pixels = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4, 1)

    def top_left(batch: tf.Tensor, training: bool) -> tf.Tensor:
        assert not training
        return tf.cast(batch[:, 0, 0], tf.float32)

    results = {
        setting: views.predict_views(top_left, tf.constant(pixels), VIEWS[setting]).numpy().item()
        for setting in SETTINGS
    }
    # Rows 1 2 3 4, 5 6 7 8, 9 10 11 12. Moved down and to the right, the corners at the top are 6
    # and 7; moved up and to the left, 6 and, by reflection, 7.
    assert results == {
        "none": 1,
        "flip": (1 + 4) / 2,
        "flip_translate": (1 + 4) / 4 + (6 + 7) / 8 + (6 + 7) / 8,
    }


@pytest.mark.parametrize("outputs", [1, 10])
def test_an_image_that_is_its_own_mirror_image_has_the_same_probabilities(
    outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = np.random.default_rng(2).integers(0, 256, (4, 6, 3, 1), np.uint8)
    symmetric = np.concatenate([half, half[:, :, ::-1]], axis=2)
    network = small_network((6, 6, 1), outputs)
    without, flipped = (
        predict_images(monkeypatch, network, symmetric, setting) for setting in ("none", "flip")
    )
    np.testing.assert_allclose(flipped, without, rtol=1e-6)


def test_a_plain_image_has_the_same_probabilities_with_all_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = np.full((2, 6, 6, 1), 77, np.uint8)
    network = small_network((6, 6, 1), 10)
    results = [predict_images(monkeypatch, network, plain, setting) for setting in SETTINGS]
    np.testing.assert_allclose(results[2], results[0], rtol=1e-6)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("batch_size", [1, 6, 7, 100])
def test_a_forward_pass_has_as_many_views_as_the_batch_size(
    setting: str, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(3).integers(0, 256, (13, 4, 4, 1), np.uint8)
    network, sizes = small_network((4, 4, 1), 3), []

    def counting(batch: tf.Tensor, training: bool) -> tf.Tensor:
        sizes.append(batch.shape[0])
        return network(batch, training=training)

    counting.output_shape = (None, 3)  # type: ignore[attr-defined]
    got = predict_images(monkeypatch, counting, images, setting, batch_size)
    num_views = len(VIEWS[setting])
    assert set(sizes) == {max(num_views, batch_size // num_views * num_views)}
    np.testing.assert_allclose(
        got, predict_images(monkeypatch, network, images, setting, 50), atol=1e-6
    )


def test_the_temperature_scales_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(4).integers(0, 256, (3, 4, 4, 1), np.uint8)
    network = small_network((4, 4, 1), 3)
    mean = predict_images(monkeypatch, network, images, "flip")
    scaled = predict_images(monkeypatch, network, images, "flip", temperature=2.0)
    roots = np.sqrt(mean)
    np.testing.assert_allclose(scaled, roots / roots.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_weights_add_up_to_one(setting: str) -> None:
    assert sum(view.weight for view in VIEWS[setting]) == 1


def test_images_of_one_pixel_cannot_be_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = PixelSpec(height_px=1, width_px=9)
    monkeypatch.setattr(
        "halftone.model_directory.read_model_info",
        lambda _: card().model_copy(update={"pixels": pixels}),
    )
    config = Config(score={"views": "flip_translate"})
    with pytest.raises(InputError) as caught:
        scoring_job.start_scoring(config, storage.normalise_url("/m"), "/scores")
    assert str(caught.value) == (
        "score.views flip_translate reflects a pixel at each edge, which needs images of 2x2 px or "
        "more; the model takes 1x9 px. Use score.views flip or none"
    )
    for setting in ("flip", "none"):
        views.check_image_size(setting, 1, 9)
    views.check_image_size("flip_translate", 2, 2)


def test_other_views_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"score\.views.*'none', 'flip' or 'flip_translate'"):
        config_from_mapping({"score": {"views": "crop"}}, "test")
