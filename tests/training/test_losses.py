"""Losses of rows, compared with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone.config import TrainSettings
from halftone.training import losses

LABELS = np.array([[1], [0], [2]], np.int32)
PROBABILITIES = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25], [0.6, 0.3, 0.1]], np.float32)
BINARY_LABELS = np.array([[1], [0], [1]], np.int32)
BINARY_PROBABILITIES = np.array([[0.8], [0.1], [0.3]], np.float32)


def mean_loss(num_classes: int, **settings: Any) -> float:
    loss = losses.build_loss(TrainSettings(**settings), num_classes)
    rows = (LABELS, PROBABILITIES) if num_classes > 2 else (BINARY_LABELS, BINARY_PROBABILITIES)
    return float(loss(*map(tf.constant, rows)))


def test_cross_entropy_is_that_of_the_label() -> None:
    assert mean_loss(3) == pytest.approx(-np.log([0.7, 0.5, 0.1]).mean(), abs=1e-6)
    assert mean_loss(2) == pytest.approx(-np.log([0.8, 0.9, 0.3]).mean(), abs=1e-6)


def test_smoothing_divides_a_part_of_the_label_among_all_classes() -> None:
    targets = np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    expected = -(targets * np.log(PROBABILITIES)).sum(axis=1).mean()
    assert mean_loss(3, label_smoothing=0.3) == pytest.approx(expected, abs=1e-6)
    both = np.hstack([1 - BINARY_PROBABILITIES, BINARY_PROBABILITIES])
    targets = np.array([[0.15, 0.85], [0.85, 0.15], [0.15, 0.85]])
    expected = -(targets * np.log(both)).sum(axis=1).mean()
    assert mean_loss(2, label_smoothing=0.3) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_smoothed_loss_of_a_certain_mistake_is_finite(num_classes: int) -> None:
    """Keras computes it from the logits, so that its gradient does not vanish."""
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    inputs = tf.keras.Input((1,))
    layer = tf.keras.layers.Dense(units, activation=activation, kernel_initializer="ones")
    model = tf.keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([[-200.0, 0.0, 0.0][:units]], np.float32), np.zeros(units)])
    loss = losses.build_loss(TrainSettings(label_smoothing=0.1), num_classes)
    label = 1 if num_classes == 2 else 0

    @tf.function
    def gradient() -> Any:
        with tf.GradientTape() as tape:
            value = loss(tf.constant([[label]]), model(tf.constant([[1.0]])))
        return value, tape.gradient(value, model.trainable_variables)[0]

    value, slope = gradient()
    assert np.isfinite(float(value))
    assert float(value) > 100
    assert abs(float(slope[0, 0])) > 0.8
