"""Mixed rows, compared with NumPy; and that the loss of mixed rows is exact over ranks."""

from __future__ import annotations

from typing import Any

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from halftone import models
from halftone.config import AugmentSettings, Convnet, TrainSettings
from halftone.training import determinism
from halftone.training.distributed_model import DistributedModel
from halftone.training.mixing import Mix, RowMixer

IMAGES = np.random.default_rng(0).uniform(-1, 1, (64, 6, 8, 3)).astype(np.float32)
ONES = np.ones(64, np.float32)
LABELS = np.array([[0], [1], [2], [1]], np.int32)
MIX = Mix(tf.constant([1, 2, 0, 3]), tf.constant([0.75, 0.5, 0.125, 1.0]))


def test_targets_are_the_shares_of_two_labels() -> None:
    expected = [[0.75, 0.25, 0], [0, 0.5, 0.5], [0.875, 0, 0.125], [0, 1, 0]]
    np.testing.assert_array_equal(MIX.targets(tf.constant(LABELS), 3).numpy(), expected)


def test_main_label_is_that_with_the_larger_share() -> None:
    assert MIX.main_labels(tf.constant(LABELS)).numpy().tolist() == [[0], [1], [0], [1]]


@settings(max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_partners_are_a_ring_of_the_rows_that_count(is_row: list[bool]) -> None:
    weights = tf.cast(is_row, tf.float32)
    partners = RowMixer(1.0, 0.0)._draw_partners(weights).numpy().tolist()
    rows = [row for row, counts in enumerate(is_row) if counts]
    assert all(partners[row] == row for row, counts in enumerate(is_row) if not counts)
    visited, row = [], rows[0] if rows else 0
    for _ in rows:
        visited.append(row)
        row = partners[row]
    assert sorted(visited) == rows


def test_all_other_rows_are_equally_likely_partners() -> None:
    mixer = RowMixer(1.0, 0.0)
    draw = tf.function(lambda: mixer._draw_partners(tf.constant([1.0, 1, 0, 1, 1])))
    counts = np.zeros((5, 5))
    for _ in range(1_200):
        counts[np.arange(5), draw().numpy()] += 1
    others = [0, 1, 3, 4]
    assert counts[2, 2] == 1_200
    counts = counts[np.ix_(others, others)]
    assert (counts.diagonal() == 0).all()
    # 400 each, within 4.5 standard deviations of a binomial distribution.
    assert np.abs(counts[~np.eye(4, dtype=bool)] - 400).max() < 4.5 * (1_200 * 2 / 9) ** 0.5


def test_mixup_is_that_of_the_equations() -> None:
    mixed, mix = RowMixer(0.4, 0.0)(IMAGES, ONES)
    shares = mix.shares.numpy()[:, None, None, None]
    expected = shares * IMAGES + (1 - shares) * IMAGES[mix.partners.numpy()]
    np.testing.assert_allclose(mixed.numpy(), expected, atol=1e-6)
    assert len(set(mix.shares.numpy())) == 64


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_shares_have_a_beta_distribution(alpha: float) -> None:
    shares = RowMixer(alpha, 0.0)._draw_beta(alpha, tf.constant(20_000)).numpy()
    assert ((shares >= 0) & (shares <= 1)).all()
    for limit in (1e-6, 0.01, 0.2, 0.5, 0.7, 0.99):
        expected = stats.beta(alpha, alpha).cdf(limit)
        deviation = (expected * (1 - expected) / 20_000) ** 0.5
        assert abs((shares < limit).mean() - expected) < 4.5 * deviation + 1e-5


def test_cutmix_is_that_of_the_algorithm() -> None:
    mixer, shares = RowMixer(0.0, 1.0), np.linspace(0, 1, 64, dtype=np.float32)
    centres = np.random.default_rng(1).uniform(0, 1, (2, 64)).astype(np.float32)
    mixer._draw_beta = lambda *_: tf.constant(shares)
    mixer._draw_partners = lambda _: tf.range(64)[::-1]
    mixer._draw_fractions = lambda _: tf.constant(centres)
    mixed, mix = mixer(IMAGES, ONES)
    for row, (share, (y, x)) in enumerate(zip(shares, centres.T)):
        height, width = 6 * np.sqrt(1 - share), 8 * np.sqrt(1 - share)
        top, bottom = np.round(max(0, 6 * y - height / 2)), np.round(min(6, 6 * y + height / 2))
        left, right = np.round(max(0, 8 * x - width / 2)), np.round(min(8, 8 * x + width / 2))
        expected = IMAGES[row].copy()
        box = np.s_[int(top) : int(bottom), int(left) : int(right)]
        expected[box] = IMAGES[63 - row][box]
        np.testing.assert_allclose(mixed[row].numpy(), expected, atol=1e-6)
        area = (bottom - top) * (right - left) / 48
        assert float(mix.shares[row]) == pytest.approx(1 - area, abs=1e-6)


def test_of_two_methods_a_batch_has_one() -> None:
    mixer, blended = RowMixer(1.0, 1.0), 0
    call = tf.function(mixer)
    for _ in range(200):
        mixed, mix = (tf.nest.map_structure(np.asarray, part) for part in call(IMAGES, ONES))
        is_own = (np.abs(mixed - IMAGES) < 1e-6).all(axis=-1)
        is_other = (np.abs(mixed - IMAGES[mix.partners]) < 1e-6).all(axis=-1)
        if (is_own | is_other).all():
            np.testing.assert_allclose(mix.shares, is_own.mean(axis=(1, 2)), atol=1e-6)
        else:
            assert not is_own.any(axis=(1, 2)).all()
            blended += 1
    assert abs(blended - 100) < 4 * 50**0.5


def test_filling_rows_stay_and_are_mixed_into_no_other() -> None:
    images, weights = IMAGES[:5].copy(), np.array([1, 0, 1, 1, 0], np.float32)
    images[[1, 4]] = 1000
    for mixer in (RowMixer(1.0, 0.0), RowMixer(0.0, 1.0), RowMixer(1.0, 1.0)):
        for _ in range(20):
            mixed = mixer(images, weights)[0].numpy()
            assert (mixed[[1, 4]] == 1000).all()
            assert np.abs(mixed[[0, 2, 3]]).max() <= 1 + 1e-6


SHAPE, CLASS_WEIGHTS = (6, 8, 1), (10.0, 0.5, 2.0)


def mixing_model(num_classes: int, **train: Any) -> DistributedModel:
    """A linear model of the mean of all pixels, compiled for a training with mixed rows."""
    hvd.init()
    pixels = tf.keras.Input(SHAPE, dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 255, name="normalise")(pixels)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    layer = tf.keras.layers.Dense(units, activation=activation)
    model = DistributedModel(pixels, layer(x))
    augment = AugmentSettings(mixup_alpha=0.5, cutmix_alpha=1.0)
    given = TrainSettings(optimizer="sgd", learning_rate=1.0, augment=augment, **train)
    model.compile_for_training(given, num_classes, 1, CLASS_WEIGHTS[:num_classes])
    layer.set_weights(
        [
            np.linspace(-0.5, 1.5, units, dtype=np.float32)[np.newaxis],
            np.linspace(0.3, -0.3, units, dtype=np.float32),
        ]
    )
    model.reset_steps(0)
    return model


def reference_step(
    model: DistributedModel, seed: str, batch: tuple[np.ndarray, ...], num_classes: int
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Sum of the rows' losses, its gradient by weight and bias, and main labels' losses and hits.

    In float64, with the draws that the model's next step has after the same `reseed`.
    """
    pixels, labels, weights = batch
    determinism.reseed(model, seed)
    mixed, mix = model._mixed_network.mixer(tf.constant(pixels / np.float32(255)), weights)
    means = mixed.numpy().astype(float).mean(axis=(1, 2, 3))
    kernel, bias = (array.astype(float).ravel() for array in model.get_weights())
    logits = means[:, None] * kernel + bias
    if num_classes == 2:
        logits = np.hstack([np.zeros_like(logits), logits])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    partners, shares = mix.partners.numpy(), mix.shares.numpy().astype(float)[:, None]
    one_hot = np.eye(num_classes)[labels[:, 0]]
    targets = shares * one_hot + (1 - shares) * one_hot[partners]
    class_weights = np.array(CLASS_WEIGHTS)[labels]
    row_weights = weights[:, None] * (
        shares * class_weights + (1 - shares) * class_weights[partners]
    )
    losses = -(row_weights * targets * np.log(probabilities)).sum()
    slope = row_weights * (probabilities - targets)
    if num_classes == 2:
        slope = slope[:, 1:]
    gradient = np.concatenate([(slope * means[:, None]).sum(axis=0), slope.sum(axis=0)])
    main = np.where(shares[:, 0] >= 0.5, labels[:, 0], labels[partners, 0])
    main_losses = -np.log(probabilities[np.arange(len(main)), main]) * weights
    return losses, gradient, main_losses, (probabilities.argmax(axis=1) == main) * weights


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_loss_and_gradient_are_exact_over_ranks(num_ranks: int, num_classes: int) -> None:
    """11 rows in one step of 12; on each rank a row of weight 0 may fill the batch."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (12, *SHAPE), dtype=np.uint8)
    labels = rng.integers(0, num_classes, (12, 1)).astype(np.int32)
    weights = np.array([1] * 11 + [0], np.float32)
    losses, updates, expected_losses, expected_gradients = [], [], [], []
    for rank in range(num_ranks):
        model = mixing_model(num_classes)
        batch = tuple(array[rank::num_ranks] for array in (images, labels, weights))
        seed = f"7:1:{rank}"
        loss, gradient, main_losses, hits = reference_step(model, seed, batch, num_classes)
        expected_losses.append(loss)
        expected_gradients.append(gradient)
        before = model.get_weights()
        determinism.reseed(model, seed)
        model.fit(*batch[:2], sample_weight=batch[2], batch_size=12, shuffle=False, verbose=0)
        step_loss, cross_entropy, accuracy = model.metrics
        losses.append(float(step_loss.result()))
        changes = [(old - new).ravel() for old, new in zip(before, model.get_weights())]
        updates.append(np.concatenate(changes))
        # Metrics are those of the label with the larger share, without weights of classes.
        assert float(cross_entropy.total) == pytest.approx(main_losses.sum(), abs=1e-5)
        assert float(cross_entropy.count) == batch[2].sum()
        assert float(accuracy.total) == hits.sum()
    # Horovod averages over the ranks.
    assert np.mean(losses) == pytest.approx(sum(expected_losses) / 12, abs=1e-6)
    np.testing.assert_allclose(
        np.mean(updates, axis=0), np.sum(expected_gradients, axis=0) / 12, atol=1e-6
    )


def test_draws_are_repeated_from_a_checkpoint() -> None:
    model = mixing_model(2)
    determinism.reseed(model, "7:1:0")
    mixer = model._mixed_network.mixer
    mixer(IMAGES, ONES)
    states = determinism.random_states(model)
    assert len(states) == 1
    expected = [mixer(IMAGES, ONES)[0].numpy() for _ in range(3)]
    assert (expected[0] != expected[1]).any()
    other = mixing_model(2)
    determinism.restore_random_states(other, states)
    for values in expected:
        np.testing.assert_array_equal(other._mixed_network.mixer(IMAGES, ONES)[0].numpy(), values)


def test_mixing_changes_neither_weights_nor_predictions() -> None:
    family = Convnet(filters=(2,), batch_norm=True, dense=(4,), dense_dropout=0.5).model_dump()
    network = models.build_model(family, (8, 8, 3), 3, "0..1")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    expected = network(pixels).numpy()
    model = DistributedModel(network.inputs, network.outputs)
    model.compile_for_training(TrainSettings(augment=AugmentSettings(mixup_alpha=1.0)), 3, 1)
    assert [id(weight) for weight in model.weights] == [id(weight) for weight in network.weights]
    np.testing.assert_array_equal(model(pixels).numpy(), expected)
    first, second = models.split_after_normalisation(network)
    np.testing.assert_array_equal(second(first(pixels)).numpy(), expected)
