"""At which steps of an epoch ranks look for news."""

from __future__ import annotations

from typing import Any
from unittest import mock

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from halftone.progress import StepProgress
from halftone.training import epoch_callback
from halftone.training.distributed_model import DistributedModel
from halftone.training.stop_flag import StopFlag
from small_network import network


class Clock(tf.keras.callbacks.Callback):
    """Time that goes on by what each step is said to take, and nothing else."""

    def __init__(self, step_secs: list[float]) -> None:
        super().__init__()
        self._step_secs = step_secs
        self._now = 100.0

    def monotonic(self) -> float:
        return self._now

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._now += self._step_secs[batch]


def looks(
    monkeypatch: pytest.MonkeyPatch,
    step_secs: list[float],
    first_step: int = 0,
    aggregate_steps: int = 1,
) -> list[int]:
    """The steps at which one rank looks, in an epoch whose steps take `step_secs`."""
    hvd.init()
    made = network(epoch_steps=len(step_secs), aggregate_steps=aggregate_steps)
    made.reset_steps(first_step)
    clock = Clock(step_secs)
    monkeypatch.setattr(epoch_callback, "time", clock)
    steps = StepProgress("epoch 1/1", first_step + len(step_secs), rows_per_step=1, is_shown=False)
    watched = epoch_callback.EpochCallback(made, steps, first_step, StopFlag(None))
    seen: list[int] = []
    look = mock.PropertyMock(side_effect=lambda: seen.append(watched.steps_done))
    monkeypatch.setattr(DistributedModel, "has_news", look)
    made.fit(
        np.zeros((len(step_secs), 2), np.float32),
        np.zeros((len(step_secs), 1), np.int32),
        sample_weight=np.ones(len(step_secs), np.float32),
        batch_size=1,
        verbose=0,
        callbacks=[clock, watched],
    )
    return seen


def test_slow_steps_are_looked_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks(monkeypatch, [3.0] * 5) == [1, 2, 3, 4, 5]


def test_of_quick_ones_as_many_as_make_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks(monkeypatch, [0.125] * 41) == [1, 2, 4, 8, 16, 24, 32, 40]


def test_a_first_step_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks(monkeypatch, [20.0] + [0.25] * 14) == [1, 2, 3, 5, 9, 13]


def test_steps_that_become_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks(monkeypatch, [0.001] * 8 + [2.0] * 10) == [1, 2, 4, 8, 16, 17, 18]


def test_after_whole_updates_where_steps_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looks(monkeypatch, [0.125] * 24, first_step=6, aggregate_steps=2)
    assert seen == [8, 10, 14, 22, 30]
