from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from halftone.scoring import embeddings, predict
from halftone.scoring.embeddings import embed_images
from halftone.scoring.predict import PredictorSettings

SHAPE = (4, 3, 1)


@pytest.fixture(autouse=True)
def _no_thread_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow runs already in this process, and takes no other number of threads."""
    monkeypatch.setattr(predict, "limit_threads", lambda _: None)
    predict.load_model.cache_clear()
    embeddings._load_embedding_network.cache_clear()


def embed(folder: Path, network: tf.keras.Model, images: np.ndarray) -> np.ndarray:
    network.save(folder / "network.keras")
    url = str(folder / "network.keras")
    shape = network.input_shape[1:]
    return embed_images(PredictorSettings(url, "v", ("a", "b"), shape, 2, 1), images)


def images(shape: tuple[int, int, int] = SHAPE, number: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (number, *shape), dtype=np.uint8)


def test_an_embedding_is_the_input_of_the_last_layer(tmp_path: Path) -> None:
    pixels = tf.keras.Input(SHAPE, dtype="uint8")
    x = tf.keras.layers.Flatten()(tf.keras.layers.Rescaling(1 / 255)(pixels))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(2, "softmax")(x))
    values = embed(tmp_path, network, images())
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, images().reshape(5, 12) / 255, rtol=1e-6)


def test_positions_are_averaged(tmp_path: Path) -> None:
    pixels = tf.keras.Input(SHAPE, dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 255)(pixels)
    network = tf.keras.Model(pixels, tf.keras.layers.GlobalMaxPooling2D()(x))
    values = embed(tmp_path, network, images())
    np.testing.assert_allclose(values[:, 0], images().mean(axis=(1, 2, 3)) / 255, rtol=1e-5)


def test_many_dimensions_are_projected_and_keep_their_distances(tmp_path: Path) -> None:
    shape = (32, 32, 1)
    pixels = tf.keras.Input(shape, dtype="uint8")
    x = tf.keras.layers.Flatten()(tf.keras.layers.Rescaling(1 / 255)(pixels))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(2, "softmax")(x))
    batch = images(shape)
    values = embed(tmp_path, network, batch)
    assert values.shape == (5, 256)
    flat = batch.reshape(5, -1) / 255
    for first, second in ((0, 1), (2, 4)):
        distance = np.linalg.norm(flat[first] - flat[second])
        assert np.linalg.norm(values[first] - values[second]) == pytest.approx(distance, rel=0.15)
