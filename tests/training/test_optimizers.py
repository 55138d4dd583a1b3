"""Updates of the optimizers, by hand or compared with Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone import models
from halftone.config import Convnet, TrainSettings
from halftone.training.distributed_model import DistributedModel
from small_network import small_network

PIXELS = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.5, 0.5]], np.float32)
LABELS = np.array([[1], [1], [0], [0]], np.int32)


def train(model: DistributedModel, steps: int = 1) -> None:
    for _ in range(steps):
        model.fit(PIXELS, LABELS, sample_weight=np.ones(4), batch_size=4, shuffle=False, verbose=0)


def flat_weights(model: DistributedModel) -> np.ndarray:
    return np.concatenate([array.ravel() for array in model.get_weights()])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weight_decay_applies_to_kernels_only(optimizer: str) -> None:
    decayed = small_network(optimizer=optimizer, weight_decay=0.01)
    plain = small_network(optimizer="adam" if optimizer == "adamw" else optimizer)
    start = [np.array([[3.0], [-2.0]], np.float32), np.array([5.0], np.float32)]
    for model in (plain, decayed):
        model.set_weights(start)
        train(model)
    decay = flat_weights(plain) - flat_weights(decayed)
    np.testing.assert_allclose(decay, [0.03, -0.02, 0.0], atol=1e-6)


def gradient(weights: np.ndarray) -> np.ndarray:
    inputs = np.hstack([PIXELS, np.ones((4, 1))])
    return np.asarray(inputs.T @ (1 / (1 + np.exp(-inputs @ weights)) - LABELS[:, 0]) / 4)


def test_learning_rate_of_biases_has_a_factor_but_in_the_output_layer() -> None:
    updates = []
    for factor in (1.0, 8.0):
        tf.keras.backend.clear_session()
        tf.keras.utils.set_random_seed(3)
        settings = TrainSettings(
            optimizer="sgd",
            learning_rate=0.01,
            momentum=0.9,
            bias_learning_rate_factor=factor,
            model=Convnet(
                filters=(4,), batch_norm=True, batch_norm_before_activation=True, dense=(3,)
            ),
        )
        network = models.build_model(settings.model.model_dump(), (8, 8, 1), 2, "0..1")
        model = DistributedModel(network.inputs, network.outputs)
        model.compile_for_training(settings, 2, 1)
        before = {weight.name: weight.numpy() for weight in model.trainable_weights}
        pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
        model.fit(pixels, LABELS, sample_weight=np.ones(4), batch_size=4, verbose=0)
        updates.append(
            {each.name: each.numpy() - before[each.name] for each in model.trainable_weights}
        )
    plain, scaled = updates
    factors = {"batch_normalization/beta:0": 8, "dense/bias:0": 8, "conv2d/bias:0": 8}
    assert {*factors, "probability/bias:0"} < {*plain}
    for name, update in plain.items():
        np.testing.assert_allclose(
            scaled[name], factors.get(name, 1) * update, rtol=1e-4, atol=1e-8, err_msg=name
        )


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_by_hand(nesterov: bool) -> None:
    """Sutskever et al., 2013, section 2; with Nesterov's look-ahead, equation 3."""
    model = small_network(momentum=0.9, learning_rate=0.5, nesterov=nesterov)
    train(model, steps=3)
    weights, velocity = np.zeros(3), np.zeros(3)
    for _ in range(3):
        step = -0.5 * gradient(weights)
        velocity = 0.9 * velocity + step
        weights = weights + (0.9 * velocity + step if nesterov else velocity)
    np.testing.assert_allclose(flat_weights(model), weights, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.9, "nesterov": True},
        {"optimizer": "adamw", "weight_decay": 0.01, "learning_rate": 0.1},
        {"decay": "steps", "decay_epochs": (1,), "epochs": 3},
        {"decay": "one_cycle", "epochs": 3, "momentum": 0.5},
        {"decay": "plateau"},
        {"label_smoothing": 0.1},
    ],
)
def test_state_of_a_checkpoint_goes_on_to_the_bit(settings: dict[str, Any]) -> None:
    first, second = (small_network(steps_per_epoch=2, **settings) for _ in range(2))
    train(first, steps=3)
    second.set_weights(first.get_weights())
    for variable, value in zip(second.optimizer_variables, first.optimizer_variables):
        variable.assign(value)
    for model in (first, second):
        model.set_plateau_factor(0.1)
        train(model, steps=2)
    np.testing.assert_array_equal(flat_weights(first), flat_weights(second))
    assert first.learning_rate == second.learning_rate
