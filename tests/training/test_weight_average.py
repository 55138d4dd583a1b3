"""The moving average of weights: by hand, through a checkpoint, and in what is validated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from halftone.config import TrainSettings
from halftone.training import checkpoint
from halftone.training.checkpoint import Checkpoint
from halftone.training.distributed_model import DistributedModel
from halftone.training.weight_average import WeightAverage
from small_network import small_network

PIXELS = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.5, 0.5]], np.float32)
LABELS = np.array([[1], [1], [0], [0]], np.int32)


def train(model: DistributedModel, steps: int = 1) -> None:
    for _ in range(steps):
        model.fit(PIXELS, LABELS, sample_weight=np.ones(4), batch_size=4, shuffle=False, verbose=0)


def average_values(model: DistributedModel) -> list[np.ndarray]:
    assert model.average is not None
    return model.average.values()


def test_average_by_hand() -> None:
    weight, count = tf.Variable([4.0, 0.0]), tf.Variable(3)
    average = WeightAverage([weight, count], decay=0.5)
    weight.assign([1.0, 11.0])
    count.assign(7)
    average.update(tf.constant(1))  # keeps 2 / 11
    np.testing.assert_allclose(average.values()[0], [17 / 11, 9.0], rtol=1e-6)
    assert average.values()[1] == 7
    average.update(tf.constant(1000))  # keeps 0.5
    np.testing.assert_allclose(average.values()[0], [14 / 11, 10.0], rtol=1e-6)
    average.restart()
    np.testing.assert_array_equal(average.values()[0], [1.0, 11.0])


def test_average_follows_each_update() -> None:
    model = small_network(average_weights=0.3, aggregate_steps=2)
    expected = np.zeros((2, 1))
    for number in range(1, 6):
        train(model, steps=2)
        kept = min(0.3, (1 + number) / (10 + number))
        expected = kept * expected + (1 - kept) * model.get_weights()[0]
    np.testing.assert_allclose(average_values(model)[0], expected, atol=1e-6)
    assert not np.allclose(average_values(model)[0], model.get_weights()[0], atol=1e-3)


def test_training_is_that_without_an_average() -> None:
    plain, averaged = small_network(), small_network(average_weights=0.9)
    for model in (plain, averaged):
        train(model, steps=3)
    for actual, expected in zip(averaged.get_weights(), plain.get_weights()):
        np.testing.assert_array_equal(actual, expected)
    assert plain.average is None


def test_average_replaces_the_weights_within_the_context_only() -> None:
    model = small_network(average_weights=0.9)
    train(model, steps=3)
    before, averages = model.get_weights(), average_values(model)
    with model.averaged_weights():
        np.testing.assert_array_equal(model.get_weights()[0], averages[0])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    np.testing.assert_array_equal(average_values(model)[0], averages[0])


def test_statistics_of_batch_normalisation_are_averaged_too() -> None:
    inputs = tf.keras.Input((2,))
    x = tf.keras.layers.BatchNormalization(momentum=0.5)(inputs)
    model = DistributedModel(inputs, tf.keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile_for_training(TrainSettings(average_weights=0.1), 2, steps_per_epoch=2)
    model.reset_steps(0)
    assert [array.shape for array in average_values(model)] == [
        array.shape for array in model.get_weights()
    ]
    train(model)  # the moving mean is half of the mean of the rows; 0.9 of it is averaged
    (place,) = (n for n, weight in enumerate(model.weights) if "moving_mean" in weight.name)
    mean = PIXELS.mean(axis=0)
    np.testing.assert_allclose(model.get_weights()[place], mean / 2, rtol=1e-6)
    np.testing.assert_allclose(average_values(model)[place], 0.9 * mean / 2, rtol=1e-6)


def test_checkpoint_keeps_the_average_and_goes_on_to_the_bit(tmp_path: Path) -> None:
    first, second = (small_network(average_weights=0.9, optimizer="adam") for _ in range(2))
    train(first, steps=3)
    written = Checkpoint(
        first.get_weights(),
        [variable.numpy() for variable in first.optimizer_variables],
        [{"epoch": 1, "loss": 0.5}],
        {"seed": 7},
        averages=average_values(first),
    )
    checkpoint.write_checkpoint(str(tmp_path), written)
    read = checkpoint.read_checkpoint(str(tmp_path), 1)
    for actual, expected in zip(read.published_weights, average_values(first)):
        np.testing.assert_array_equal(actual, expected)
    second.set_weights(read.weights)
    for variable, value in zip(second.optimizer_variables, read.optimizer):
        variable.assign(value)
    assert second.average is not None
    second.average.load(read.averages)
    for model in (first, second):
        train(model, steps=2)
    for actual, expected in zip(average_values(second), average_values(first)):
        np.testing.assert_array_equal(actual, expected)


def test_checkpoint_without_an_average_publishes_its_weights(tmp_path: Path) -> None:
    written = Checkpoint([np.ones(2)], [], [{"epoch": 1, "loss": 0.5}], {})
    checkpoint.write_checkpoint(str(tmp_path), written)
    read = checkpoint.read_checkpoint(str(tmp_path), 1)
    assert read.averages == []
    np.testing.assert_array_equal(read.published_weights[0], np.ones(2))


def test_all_of_the_state_is_sent_to_other_ranks() -> None:
    plain, averaged = small_network(), small_network(average_weights=0.9)
    assert len(averaged.state_variables) == len(plain.state_variables) + 2
