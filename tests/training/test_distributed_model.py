"""A step of training on one rank, checked against what NumPy says."""

from __future__ import annotations

from collections.abc import Iterator

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from halftone.training.distributed_model import DistributedModel, WarmupSchedule
from small_network import network

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
    """Of the weighted cross-entropy over the batch's size: two weights and the bias."""
    inputs = np.hstack([pixels, np.ones((len(pixels), 1))])
    error = 1 / (1 + np.exp(-inputs @ weights)) - labels[:, 0]
    return np.asarray(inputs.T @ (error * row_weights) / len(pixels))


def learned(made: DistributedModel) -> np.ndarray:
    return np.concatenate([array.ravel() for array in made.get_weights()])


def run(made: DistributedModel, *weights: np.ndarray) -> None:
    for row_weights in weights:
        made.fit(PIXELS, LABELS, sample_weight=row_weights, batch_size=4, shuffle=False, verbose=0)


def test_a_step_goes_down_the_gradient_and_fillers_weigh_nothing() -> None:
    made = network()
    run(made, np.array([1, 1, 1, 0], np.float32))
    expected = -gradient(np.zeros(3), PIXELS, LABELS, np.array([1, 1, 1, 0]))
    np.testing.assert_allclose(learned(made), expected, atol=1e-6)
    np.testing.assert_allclose(expected, [0.0, 0.25, 0.125])


def test_gradients_are_scaled_down_to_the_norm() -> None:
    made = network(clip_norm=0.1)
    run(made, ONES)
    full = -gradient(np.zeros(3), PIXELS, LABELS, ONES)
    assert np.linalg.norm(full) > 0.1
    np.testing.assert_allclose(learned(made), full * 0.1 / np.linalg.norm(full), atol=1e-6)


def test_aggregated_steps_are_one_step_of_their_mean() -> None:
    made = network(aggregate_steps=2)
    first, second = np.array([1, 1, 0, 0], np.float32), np.array([0, 0, 1, 1], np.float32)
    run(made, first)
    np.testing.assert_array_equal(learned(made), [0, 0, 0])
    run(made, second)
    expected = -gradient(np.zeros(3), PIXELS, LABELS, ONES) / 2
    np.testing.assert_allclose(learned(made), expected, atol=1e-6)
    run(made, first, second)
    expected = expected - gradient(expected, PIXELS, LABELS, ONES) / 2
    np.testing.assert_allclose(learned(made), expected, atol=1e-6)


def test_the_learning_rate_warms_up_over_updates() -> None:
    rate = WarmupSchedule(peak=0.4, warmup=4, last=0)
    assert [round(float(rate(update)), 6) for update in range(6)] == [0.1, 0.2, 0.3, 0.4, 0.4, 0.4]
    made = network(epoch_steps=4, warmup_epochs=1)
    run(made, ONES)
    np.testing.assert_allclose(
        learned(made), -gradient(np.zeros(3), PIXELS, LABELS, ONES) / 4, atol=1e-6
    )


def test_the_learning_rate_falls_as_half_a_cosine() -> None:
    rate = WarmupSchedule(peak=0.4, warmup=2, last=6)
    rates = [round(float(rate(update)), 6) for update in range(8)]
    assert rates == [0.2, 0.4, 0.4, 0.341421, 0.2, 0.058579, 0.0, 0.0]
    made = network(epoch_steps=1, epochs=2, decay="cosine")
    run(made, ONES)
    first = -gradient(np.zeros(3), PIXELS, LABELS, ONES)
    np.testing.assert_allclose(learned(made), first, atol=1e-6)
    run(made, ONES)
    second = first - gradient(first, PIXELS, LABELS, ONES) / 2
    np.testing.assert_allclose(learned(made), second, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weight_decay_takes_off_kernels_alone(optimizer: str) -> None:
    plain, decayed = network(optimizer=optimizer), network(optimizer=optimizer, weight_decay=0.01)
    start = [np.array([[3.0], [-2.0]], np.float32), np.array([5.0], np.float32)]
    for made in (plain, decayed):
        made.set_weights(start)
        run(made, ONES)
    off = learned(plain) - learned(decayed)
    np.testing.assert_allclose(off, [0.03, -0.02, 0.0], atol=1e-6)


def test_scaling_by_one_rank_changes_nothing() -> None:
    plain, scaled = network(), network(scale_learning_rate=True, warmup_epochs=0)
    run(plain, ONES)
    run(scaled, ONES)
    np.testing.assert_array_equal(learned(plain), learned(scaled))


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_in_half_precision_weights_stay_whole(precision: str) -> None:
    tf.keras.mixed_precision.set_global_policy(precision)
    made = network()
    run(made, ONES)
    assert {array.dtype for array in made.get_weights()} == {np.dtype(np.float32)}
    expected = -gradient(np.zeros(3), PIXELS, LABELS, ONES)
    np.testing.assert_allclose(learned(made), expected, atol=1e-3)


def test_the_first_step_whose_loss_is_not_finite_is_noted() -> None:
    made = network()
    run(made, ONES, ONES)
    assert made.first_nonfinite_step == 0
    made.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    run(made, ONES, ONES)
    assert made.first_nonfinite_step == 3
    made.reset_steps(7)
    assert made.first_nonfinite_step == 0
    run(made, ONES)
    assert made.first_nonfinite_step == 8


def test_news_of_a_bad_loss_come_with_its_step() -> None:
    made = network()
    run(made, ONES)
    assert not made.has_alert
    made.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    run(made, ONES)
    assert made.has_alert
    made.reset_steps(0)
    assert not made.has_alert


def test_news_of_a_wish_to_stop_come_with_the_next_gradients() -> None:
    made = network(aggregate_steps=2)
    run(made, ONES, ONES)
    made.request_stop()
    seen = []
    for _ in range(2):
        seen.append(made.has_alert)
        run(made, ONES)
    assert [*seen, made.has_alert] == [False, False, True]


def test_the_weights_are_those_of_the_layers_alone() -> None:
    assert [array.shape for array in network(aggregate_steps=2).get_weights()] == [(2, 1), (1,)]


def test_metrics_are_sums_in_double_precision() -> None:
    made = network()
    run(made, np.array([1, 1, 1, 0], np.float32))
    cross_entropy, accuracy = made.metrics[1:]
    assert (float(cross_entropy.count), float(accuracy.count)) == (3.0, 3.0)
    assert cross_entropy.total.dtype == tf.float64
    assert float(cross_entropy.total) == pytest.approx(3 * np.log(2), abs=1e-6)
