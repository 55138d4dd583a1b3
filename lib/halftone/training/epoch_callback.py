"""Check a running epoch: report progress, and stop on a bad loss or a stop request."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Optional

import tensorflow as tf

from halftone.progress import StepProgress
from halftone.training import collectives
from halftone.training.distributed_model import DistributedModel
from halftone.training.stop_flag import StopFlag

_CHECK_INTERVAL_SECS = 1.0


class EpochCallback(tf.keras.callbacks.Callback):
    """About once a second checks whether a rank has an alert, and stops all ranks at one step.

    Args:
        first_step: number of steps of the epoch that were done before.
    """

    def __init__(
        self,
        network: DistributedModel,
        progress: StepProgress,
        first_step: int,
        stop_flag: StopFlag,
    ) -> None:
        super().__init__()
        tf.get_logger().addFilter(_is_not_about_slow_callbacks)
        self._supports_tf_logs = True  # otherwise Keras waits for the metrics at every step
        self._network, self._progress, self._stop_flag = network, progress, stop_flag
        # Check after whole updates only: a stop would lose gradients that are still accumulated.
        self._updates_per_check = 1
        self._next_check_step = first_step + network.aggregate_steps
        self._reported_step, self._reported_secs = first_step, time.monotonic()
        self.steps_done = first_step  # steps of the epoch
        self.nonfinite_step = 0  # the first (from 1) whose loss was not finite, on any rank
        self.is_stop_requested = False  # on any rank

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        self.steps_done += 1
        self._progress.advance(
            # `loss` may be weighted or smoothed; what is printed is comparable.
            lambda: {
                name: float((logs or {})[key])
                for name, key in (("loss", "cross_entropy"), ("accuracy", "accuracy"))
            }
        )
        if self._stop_flag.is_set():
            self._network.request_stop()
        if self.steps_done == self._next_check_step:
            if self._network.has_alert:
                self.sync_status()
            self._schedule_check()
        if self.steps_done == self._next_check_step - self._network.aggregate_steps:
            self._report_throughput()

    def _schedule_check(self) -> None:
        """Choose the step of the next check.

        It must be equal on all ranks, or they would wait for each other for ever. So it depends on
        the mean throughput that arrives with the gradients. The interval at most doubles, because
        the first steps of an epoch are fast: their batches were prefetched.
        """
        steps_per_update = self._network.aggregate_steps
        updates = int(_CHECK_INTERVAL_SECS * self._network.steps_per_sec) // steps_per_update
        self._updates_per_check = max(1, min(2 * self._updates_per_check, updates))
        self._next_check_step = self.steps_done + self._updates_per_check * steps_per_update

    def _report_throughput(self) -> None:
        """Send this rank's throughput with the last gradients before a check."""
        now = time.monotonic()
        self._network.report_throughput(
            (self.steps_done - self._reported_step) / (now - self._reported_secs)
        )
        self._reported_step, self._reported_secs = self.steps_done, now

    def sync_status(self) -> None:
        """Combine the alerts of all ranks, and end the epoch if there is one."""
        alerts = [self._network.first_nonfinite_step, int(self._stop_flag.is_set())]
        if collectives.num_ranks() > 1:
            reduced = collectives.all_reduce(tf.constant(alerts), collectives.MAX, "alerts")
            alerts = reduced.numpy().tolist()
        self.nonfinite_step, self.is_stop_requested = alerts[0], bool(alerts[1])
        if self.nonfinite_step or self.is_stop_requested:
            self._network.stop_training = True


def _is_not_about_slow_callbacks(record: logging.LogRecord) -> bool:
    """Keras warns of a callback that takes longer than a step, as on a busy machine: no news."""
    return "is slow compared to the batch time" not in record.getMessage()
