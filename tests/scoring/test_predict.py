"""Probabilities of a real network; the loader is replaced, because it configures TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from halftone.errors import RunError
from halftone.scoring import predict
from halftone.scoring.predict import PredictorSettings

SHAPE = (2, 2, 1)
PREDICTOR = PredictorSettings("net", "f3549667", ("cat", "dog"), SHAPE, batch_size=2, threads=1)


def overflowing_network() -> tf.keras.Model:
    """A network of finite weights that predicts NaN for all images but black ones."""
    pixels = tf.keras.Input(SHAPE, dtype="uint8")
    x = tf.keras.layers.Rescaling(3e38)(pixels)
    x = tf.keras.layers.Flatten()(x)
    return tf.keras.Model(pixels, tf.keras.layers.Dense(2, "softmax", kernel_initializer="ones")(x))


def test_a_network_that_predicts_nan_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = overflowing_network()
    assert all(np.isfinite(array).all() for array in network.get_weights())
    monkeypatch.setattr(predict, "_load_network", lambda *_: lambda batch: network(batch).numpy())
    black = np.zeros((3, *SHAPE), np.uint8)
    assert predict.predict_probabilities(PREDICTOR, black).tolist() == [[0.5, 0.5]] * 3
    images = black.copy()
    images[1:] = 200
    with pytest.raises(RunError) as caught:
        predict.predict_probabilities(PREDICTOR, images)
    assert str(caught.value) == (
        "model f3549667 predicts NaN or infinity for 2 of 3 images; train it again with a lower "
        "train.learning_rate or with train.clip_norm"
    )
