"""Losses of rows, compared with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone.config import AugmentSettings, TrainSettings
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


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_targets_in_place_of_labels(smoothing: float) -> None:
    settings = TrainSettings(label_smoothing=smoothing, augment=AugmentSettings(mixup_alpha=0.2))
    targets = np.array([[0.25, 0.75, 0], [1, 0, 0], [0, 0.5, 0.5]])
    smoothed = (1 - smoothing) * targets + smoothing / 3
    expected = -(smoothed * np.log(PROBABILITIES)).sum(axis=1).mean()
    loss = losses.build_loss(settings, 3)
    value = loss(tf.constant(targets, tf.float32), tf.constant(PROBABILITIES))
    assert float(value) == pytest.approx(expected, abs=1e-6)

    targets = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]])
    smoothed = (1 - smoothing) * targets + smoothing / 2
    both = np.hstack([1 - BINARY_PROBABILITIES, BINARY_PROBABILITIES])
    expected = -(smoothed * np.log(both)).sum(axis=1).mean()
    loss = losses.build_loss(settings, 2)
    value = loss(tf.constant(targets, tf.float32), tf.constant(BINARY_PROBABILITIES))
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_focal_loss_of_targets_is_the_sum_over_classes() -> None:
    settings = TrainSettings(loss="focal", augment=AugmentSettings(cutmix_alpha=1.0))
    targets = np.array([[0.25, 0.75, 0], [1, 0, 0], [0, 0.5, 0.5]])
    each = -targets * (1 - PROBABILITIES) ** 2 * np.log(PROBABILITIES)
    value = losses.build_loss(settings, 3)(
        tf.constant(targets, tf.float32), tf.constant(PROBABILITIES)
    )
    assert float(value) == pytest.approx(each.sum(axis=1).mean(), abs=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_that_of_keras(gamma: float) -> None:
    keras = tf.keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma)
    expected = float(keras(tf.one_hot(LABELS[:, 0], 3), tf.constant(PROBABILITIES)))
    assert mean_loss(3, loss="focal", focal_gamma=gamma) == pytest.approx(expected, abs=1e-6)
    keras = tf.keras.losses.BinaryFocalCrossentropy(gamma=gamma)
    expected = float(keras(tf.constant(BINARY_LABELS), tf.constant(BINARY_PROBABILITIES)))
    assert mean_loss(2, loss="focal", focal_gamma=gamma) == pytest.approx(expected, abs=1e-6)


def test_focal_loss_by_hand() -> None:
    expected = np.mean([0.2**2 * -np.log(0.8), 0.1**2 * -np.log(0.9), 0.7**2 * -np.log(0.3)])
    assert mean_loss(2, loss="focal") == pytest.approx(expected, abs=1e-6)


def test_smoothed_focal_loss_is_the_sum_over_classes() -> None:
    targets = np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    each = -targets * (1 - PROBABILITIES) ** 2 * np.log(PROBABILITIES)
    expected = each.sum(axis=1).mean()
    assert mean_loss(3, loss="focal", label_smoothing=0.3) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_focal_gradient_is_that_of_the_formula(num_classes: int) -> None:
    """Against differences of the formula in float64; the trick for logits changes nothing."""
    logits = np.array([[0.5, -1.0, 2.0], [-3.0, 0.25, 0.0], [1.0, 1.0, -2.0]])
    labels = LABELS if num_classes == 3 else BINARY_LABELS
    if num_classes == 2:
        logits = logits[:, :1]

    def formula(values: np.ndarray) -> float:
        if num_classes == 2:
            values = np.hstack([np.zeros_like(values), values])
        probabilities = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        targets = 0.9 * np.eye(num_classes)[labels[:, 0]] + 0.1 / num_classes
        each = -targets * (1 - probabilities) ** 1.5 * np.log(probabilities)
        return float(each.sum(axis=1).mean())

    settings = TrainSettings(loss="focal", focal_gamma=1.5, label_smoothing=0.1)
    loss = losses.build_loss(settings, num_classes)
    activation = tf.keras.activations.sigmoid if num_classes == 2 else tf.keras.activations.softmax
    variable = tf.Variable(logits.astype(np.float32))

    @tf.function
    def gradient() -> Any:
        with tf.GradientTape() as tape:
            value = loss(tf.constant(labels), activation(variable))
        return tape.gradient(value, variable)

    expected = np.zeros_like(logits)
    for index in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[index] = 1e-6
        expected[index] = (formula(logits + step) - formula(logits - step)) / 2e-6
    np.testing.assert_allclose(gradient().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_loss_of_a_certain_mistake_is_finite(num_classes: int, name: str) -> None:
    """Keras computes it from the logits, so that its gradient does not vanish."""
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    inputs = tf.keras.Input((1,))
    layer = tf.keras.layers.Dense(units, activation=activation, kernel_initializer="ones")
    model = tf.keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([[-200.0, 0.0, 0.0][:units]], np.float32), np.zeros(units)])
    settings = TrainSettings(loss=name, label_smoothing=0.1)
    loss = losses.build_loss(settings, num_classes)
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


def test_certain_hits_have_a_focal_gradient_of_0() -> None:
    loss = losses.build_loss(TrainSettings(loss="focal", focal_gamma=0.5), 3)
    variable = tf.Variable([[0.0, 200.0, 0.0]])

    @tf.function
    def gradient() -> Any:
        with tf.GradientTape() as tape:
            value = loss(tf.constant([[1]]), tf.keras.activations.softmax(variable))
        return tape.gradient(value, variable)

    np.testing.assert_allclose(gradient().numpy(), np.zeros((1, 3)), atol=1e-6)
