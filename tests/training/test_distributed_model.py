"""Training steps on one rank, compared with a NumPy implementation."""

from __future__ import annotations

from collections.abc import Iterator

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from halftone.training.distributed_model import DistributedModel
from small_network import small_network

PIXELS = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.5, 0.5]], np.float32)
LABELS = np.array([[1], [1], [0], [0]], np.int32)
ONES = np.ones(4, np.float32)


@pytest.fixture(autouse=True)
def _horovod() -> Iterator[None]:
    hvd.init()
    yield
    tf.keras.mixed_precision.set_global_policy("float32")


def gradient(
    weights: np.ndarray, pixels: np.ndarray, labels: np.ndarray, row_weights: np.ndarray
) -> np.ndarray:
    """The gradient of the weighted cross-entropy / batch size: two weights and the bias."""
    inputs = np.hstack([pixels, np.ones((len(pixels), 1))])
    error = 1 / (1 + np.exp(-inputs @ weights)) - labels[:, 0]
    return np.asarray(inputs.T @ (error * row_weights) / len(pixels))


def flat_weights(model: DistributedModel) -> np.ndarray:
    return np.concatenate([array.ravel() for array in model.get_weights()])


def train(model: DistributedModel, *weights: np.ndarray) -> None:
    """Train for one step with each array of row weights."""
    for row_weights in weights:
        model.fit(PIXELS, LABELS, sample_weight=row_weights, batch_size=4, shuffle=False, verbose=0)


def test_step_follows_the_gradient_and_ignores_rows_of_weight_0() -> None:
    model = small_network()
    train(model, np.array([1, 1, 1, 0], np.float32))
    expected = -gradient(np.zeros(3), PIXELS, LABELS, np.array([1, 1, 1, 0]))
    np.testing.assert_allclose(flat_weights(model), expected, atol=1e-6)
    np.testing.assert_allclose(expected, [0.0, 0.25, 0.125])


def test_gradients_are_clipped_to_the_norm() -> None:
    model = small_network(clip_norm=0.1)
    train(model, ONES)
    full = -gradient(np.zeros(3), PIXELS, LABELS, ONES)
    assert np.linalg.norm(full) > 0.1
    np.testing.assert_allclose(flat_weights(model), full * 0.1 / np.linalg.norm(full), atol=1e-6)


def test_aggregated_steps_are_one_step_of_their_mean() -> None:
    model = small_network(aggregate_steps=2)
    first, second = np.array([1, 1, 0, 0], np.float32), np.array([0, 0, 1, 1], np.float32)
    train(model, first)
    np.testing.assert_array_equal(flat_weights(model), [0, 0, 0])
    train(model, second)
    expected = -gradient(np.zeros(3), PIXELS, LABELS, ONES) / 2
    np.testing.assert_allclose(flat_weights(model), expected, atol=1e-6)
    train(model, first, second)
    expected = expected - gradient(expected, PIXELS, LABELS, ONES) / 2
    np.testing.assert_allclose(flat_weights(model), expected, atol=1e-6)


def test_last_update_of_an_epoch_may_have_fewer_steps() -> None:
    model = small_network(steps_per_epoch=3, aggregate_steps=2, learning_rate=0.5)
    train(model, ONES, ONES)
    full = -gradient(np.zeros(3), PIXELS, LABELS, ONES) / 2
    np.testing.assert_allclose(flat_weights(model), full, atol=1e-6)
    train(model, ONES)
    # Its gradient has the same weight as that of each other step.
    expected = full - gradient(full, PIXELS, LABELS, ONES) / 4
    np.testing.assert_allclose(flat_weights(model), expected, atol=1e-6)
    model.reset_steps(0)
    train(model, ONES)
    np.testing.assert_allclose(flat_weights(model), expected, atol=1e-6)


def test_scaling_the_learning_rate_by_one_rank_changes_nothing() -> None:
    plain, scaled = small_network(), small_network(scale_learning_rate=True, warmup_epochs=0)
    train(plain, ONES)
    train(scaled, ONES)
    np.testing.assert_array_equal(flat_weights(plain), flat_weights(scaled))


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_weights_stay_float32_in_half_precision(precision: str) -> None:
    tf.keras.mixed_precision.set_global_policy(precision)
    model = small_network()
    train(model, ONES)
    assert {array.dtype for array in model.get_weights()} == {np.dtype(np.float32)}
    expected = -gradient(np.zeros(3), PIXELS, LABELS, ONES)
    np.testing.assert_allclose(flat_weights(model), expected, atol=1e-3)


def test_loss_scale_is_part_of_the_state() -> None:
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    first, second = small_network(optimizer="adam"), small_network(optimizer="adam")
    # The scaled gradients of the second step overflow: the update is skipped, the scale halved.
    train(first, ONES, 1e37 * ONES, ONES)
    assert float(first.optimizer.loss_scale) == 2**14
    assert int(first.optimizer.dynamic_counter) == 1
    second.set_weights(first.get_weights())
    for variable, value in zip(second.optimizer_variables, first.optimizer_variables):
        variable.assign(value)
    assert float(second.optimizer.loss_scale) == 2**14
    assert int(second.optimizer.dynamic_counter) == 1
    for model in (first, second):
        train(model, ONES)
    np.testing.assert_array_equal(flat_weights(first), flat_weights(second))


def test_first_step_with_a_nonfinite_loss_is_recorded() -> None:
    model = small_network()
    train(model, ONES, ONES)
    assert model.first_nonfinite_step == 0
    model.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    train(model, ONES, ONES)
    assert model.first_nonfinite_step == 3
    model.reset_steps(7)
    assert model.first_nonfinite_step == 0
    train(model, ONES)
    assert model.first_nonfinite_step == 8


def test_nonfinite_loss_is_an_alert_after_its_step() -> None:
    model = small_network()
    train(model, ONES)
    assert not model.has_alert
    model.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    train(model, ONES)
    assert model.has_alert
    model.reset_steps(0)
    assert not model.has_alert


def test_stop_request_is_an_alert_after_the_next_gradients() -> None:
    model = small_network(aggregate_steps=2)
    train(model, ONES, ONES)
    model.request_stop()
    alerts = []
    for _ in range(2):
        alerts.append(model.has_alert)
        train(model, ONES)
    assert [*alerts, model.has_alert] == [False, False, True]


def test_weights_are_those_of_the_layers_only() -> None:
    assert [array.shape for array in small_network(aggregate_steps=2).get_weights()] == [
        (2, 1),
        (1,),
    ]


def test_metrics_are_sums_in_double_precision() -> None:
    model = small_network()
    train(model, np.array([1, 1, 1, 0], np.float32))
    cross_entropy, accuracy = model.metrics[1:]
    assert (float(cross_entropy.count), float(accuracy.count)) == (3.0, 3.0)
    assert cross_entropy.total.dtype == tf.float64
    assert float(cross_entropy.total) == pytest.approx(3 * np.log(2), abs=1e-6)
