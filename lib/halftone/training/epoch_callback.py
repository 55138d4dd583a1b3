"""Look at a running epoch: its progress, a loss gone wrong, a wish to stop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Optional

import horovod.tensorflow as hvd
import tensorflow as tf

from halftone.progress import StepProgress
from halftone.training.distributed_model import DistributedModel
from halftone.training.stop_flag import StopFlag

_CHECK_INTERVAL_SECS = 1.0


class EpochCallback(tf.keras.callbacks.Callback):
    """About once a second ranks look whether one has news, and then stop as one.

    Args:
        first_step: steps of the epoch that were done before.
    """

    def __init__(
        self,
        network: DistributedModel,
        progress: StepProgress,
        first_step: int,
        stop_flag: StopFlag,
    ) -> None:
        super().__init__()
        self._supports_tf_logs = True  # else Keras waits for the metrics at every step
        self._network, self._progress, self._stop_flag = network, progress, stop_flag
        # Looks come after whole updates: what is added up in between would be lost with a stop.
        self._updates_per_check = 1
        self._next_check_step = first_step + network.aggregate_steps
        self._reported_step, self._reported_secs = first_step, time.monotonic()
        self.steps_done = first_step  # steps of the epoch
        self.nonfinite_step = 0  # the first (from 1) whose loss was not finite, on any rank
        self.is_stop_requested = False  # to stop

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        self.steps_done += 1
        self._progress.advance(
            lambda: {name: float((logs or {})[name]) for name in ("loss", "accuracy")}
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
        """Choose the step of the next look, the same on all ranks: one alone would wait for ever.

        So what counts is the pace that came with the gradients. No more than twice as many steps
        as the last time: the first ones of an epoch may find batches that were made ahead.
        """
        update_steps = self._network.aggregate_steps
        wanted = int(_CHECK_INTERVAL_SECS * self._network.steps_per_sec) // update_steps
        self._updates_per_check = max(1, min(2 * self._updates_per_check, wanted))
        self._next_check_step = self.steps_done + self._updates_per_check * update_steps

    def _report_throughput(self) -> None:
        """Send along this rank's pace with the last gradients before a look."""
        now = time.monotonic()
        self._network.report_throughput(
            (self.steps_done - self._reported_step) / (now - self._reported_secs)
        )
        self._reported_step, self._reported_secs = self.steps_done, now

    def sync_status(self) -> None:
        """Ask all ranks what they saw, and end the epoch here where that is called for."""
        seen = [self._network.first_nonfinite_step, int(self._stop_flag.is_set())]
        if hvd.size() > 1:
            seen = hvd.allreduce(tf.constant(seen), op=hvd.Max, name="seen").numpy().tolist()
        self.nonfinite_step, self.is_stop_requested = seen[0], bool(seen[1])
        if self.nonfinite_step or self.is_stop_requested:
            self._network.stop_training = True
