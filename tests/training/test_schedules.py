"""Learning rates of updates, with literal values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone.config import TrainSettings
from halftone.training import schedules
from halftone.training.schedules import reduce_on_plateau
from small_network import small_network


def rates(updates: int, updates_per_epoch: int = 2, **settings: Any) -> list[float]:
    """The learning rates of the first updates of a training with a peak of 0.4."""
    plateau_factor = tf.Variable(1.0, trainable=False)
    train = TrainSettings(learning_rate=0.4, **settings)
    rate = schedules.build_rate(train, 0.4, updates_per_epoch, plateau_factor)
    assert callable(rate)
    return [round(float(rate(tf.constant(update, tf.int64))), 6) for update in range(updates)]


def test_constant_rate_is_a_number() -> None:
    assert schedules.build_rate(TrainSettings(), 0.4, 2, tf.Variable(1.0)) == 0.4


def test_rate_warms_up() -> None:
    assert rates(6, warmup_epochs=2) == [0.1, 0.2, 0.3, 0.4, 0.4, 0.4]


def test_cosine_falls_to_0_after_the_warm_up() -> None:
    assert rates(8, decay="cosine", warmup_epochs=1, epochs=3) == [
        *(0.2, 0.4, 0.4, 0.341421, 0.2, 0.058579, 0.0, 0.0),
    ]


def test_steps_fall_after_their_epochs() -> None:
    settings: dict[str, Any] = {"decay": "steps", "decay_epochs": (1, 3), "epochs": 4}
    assert rates(8, **settings) == [0.4, 0.4, 0.04, 0.04, 0.04, 0.04, 0.004, 0.004]
    halved = rates(7, **settings, decay_factor=0.5, warmup_epochs=1)
    assert halved == [0.2, 0.4, 0.2, 0.2, 0.2, 0.2, 0.1]


def test_one_cycle_rises_and_falls_along_lines() -> None:
    settings: dict[str, Any] = {"decay": "one_cycle", "epochs": 5, "one_cycle_rise_fraction": 0.4}
    assert rates(11, **settings, one_cycle_start_factor=0.2, one_cycle_end_factor=0.1) == [
        *(0.08, 0.16, 0.24, 0.32, 0.4, 0.34, 0.28, 0.22, 0.16, 0.1, 0.04),
    ]
    # By default it starts at a 25th, and would be 0 after the last update.
    defaults = rates(11, decay="one_cycle", epochs=5)
    assert (defaults[0], defaults[3], defaults[9], defaults[10]) == (0.016, 0.4, 0.057143, 0.0)


def test_plateau_multiplies_after_the_warm_up() -> None:
    factor = tf.Variable(0.1)
    train = TrainSettings(decay="plateau", warmup_epochs=1)
    rate = schedules.build_rate(train, 0.4, 2, factor)
    assert callable(rate)
    assert [round(float(rate(update)), 6) for update in range(3)] == [0.02, 0.04, 0.04]
    factor.assign(0.01)
    assert round(float(rate(3)), 6) == 0.004


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 1.0),
        ([0.5, 0.6, 0.4], 1.0),
        ([0.5, 0.5, 0.6], 0.5),  # an equal value is not better
        ([0.5, 0.6, 0.6, 0.6], 0.5),  # the wait starts again
        ([0.5, 0.6, 0.6, 0.6, 0.6], 0.25),
        ([0.5, 0.6, 0.6, 0.4, 0.5], 0.5),
        ([0.5, None, None], 0.5),
        ([None, None, 0.5], 0.5),
    ],
)
def test_plateau_waits_for_epochs_that_are_not_better(values: list[Any], expected: float) -> None:
    settings = TrainSettings(decay="plateau", decay_patience=2, decay_factor=0.5)
    ranks = [None if value is None else (value,) for value in values]
    assert reduce_on_plateau(ranks, settings) == expected


def test_epochs_of_the_warm_up_do_not_wait() -> None:
    settings = TrainSettings(decay="plateau", decay_patience=2, warmup_epochs=3)
    assert reduce_on_plateau([(0.5,), (0.6,), (0.7,), (0.7,)], settings) == 1.0
    assert reduce_on_plateau([(0.5,), *[(0.7,)] * 4], settings) == 0.1


def test_updates_use_the_rate_of_the_schedule() -> None:
    model = small_network(
        steps_per_epoch=4, aggregate_steps=2, decay="steps", decay_epochs=(1,), epochs=2
    )
    data = np.ones((4, 2), np.float32), np.ones((4, 1), np.int32)
    seen = []
    for _ in range(2):
        model.reset_steps(0)
        for _ in range(4):
            model.fit(*data, sample_weight=np.ones(4), batch_size=4, verbose=0)
        seen.append(round(model.learning_rate, 6))
    assert seen == [1.0, 0.1]


def test_plateau_factor_of_a_model_reaches_its_updates() -> None:
    model = small_network(decay="plateau")
    before = model.get_weights()
    model.set_plateau_factor(0.0)
    data = np.ones((4, 2), np.float32), np.ones((4, 1), np.int32)
    model.fit(*data, sample_weight=np.ones(4), batch_size=4, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.set_plateau_factor(1.0)
    model.fit(*data, sample_weight=np.ones(4), batch_size=4, verbose=0)
    assert (model.get_weights()[0] > before[0]).all()
