"""The steps of an epoch after which ranks check for alerts."""

from __future__ import annotations

import logging
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
from small_network import small_network


class Clock(tf.keras.callbacks.Callback):
    """A clock that advances by a given time after each step."""

    def __init__(self, step_secs: list[float]) -> None:
        super().__init__()
        self._step_secs = step_secs
        self._now = 100.0

    def monotonic(self) -> float:
        return self._now

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._now += self._step_secs[batch]


def check_steps(
    monkeypatch: pytest.MonkeyPatch,
    step_secs: list[float],
    first_step: int = 0,
    aggregate_steps: int = 1,
) -> list[int]:
    """The steps after which one rank checks, in an epoch whose steps take `step_secs`."""
    hvd.init()
    model = small_network(steps_per_epoch=len(step_secs), aggregate_steps=aggregate_steps)
    model.reset_steps(first_step)
    clock = Clock(step_secs)
    monkeypatch.setattr(epoch_callback, "time", clock)
    progress = StepProgress(
        "epoch 1/1", first_step + len(step_secs), rows_per_step=1, is_shown=False
    )
    callback = epoch_callback.EpochCallback(model, progress, first_step, StopFlag(None))
    steps: list[int] = []
    has_alert = mock.PropertyMock(side_effect=lambda: steps.append(callback.steps_done))
    monkeypatch.setattr(DistributedModel, "has_alert", has_alert)
    model.fit(
        np.zeros((len(step_secs), 2), np.float32),
        np.zeros((len(step_secs), 1), np.int32),
        sample_weight=np.ones(len(step_secs), np.float32),
        batch_size=1,
        verbose=0,
        callbacks=[clock, callback],
    )
    return steps


def test_slow_steps_are_checked_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_steps(monkeypatch, [3.0] * 5) == [1, 2, 3, 4, 5]


def test_fast_steps_are_checked_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_steps(monkeypatch, [0.125] * 41) == [1, 2, 4, 8, 16, 24, 32, 40]


def test_slow_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_steps(monkeypatch, [20.0] + [0.25] * 14) == [1, 2, 3, 5, 9, 13]


def test_steps_that_become_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_steps(monkeypatch, [0.001] * 8 + [2.0] * 10) == [1, 2, 4, 8, 16, 17, 18]


def test_checks_follow_whole_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = check_steps(monkeypatch, [0.125] * 24, first_step=6, aggregate_steps=2)
    assert steps == [8, 10, 14, 22, 30]


def test_keras_prints_no_warning_of_a_callback_that_is_slower_than_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each interval that Keras measures is twice as long as the one before.
    keras_clock = mock.Mock(time=mock.Mock(side_effect=(2.0**n for n in range(1000))))
    monkeypatch.setattr("keras.src.callbacks.time", keras_clock)
    warnings: list[logging.LogRecord] = []
    monkeypatch.setattr(tf.get_logger(), "callHandlers", warnings.append)
    check_steps(monkeypatch, [0.125] * 8)
    assert keras_clock.time.called
    assert [record.getMessage() for record in warnings] == []
