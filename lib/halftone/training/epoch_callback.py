"""Look at a running epoch: its progress, a loss gone wrong, a wish to stop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Optional

import horovod.tensorflow as hvd
import tensorflow as tf

from halftone.progress import Steps
from halftone.training.distributed_model import Network
from halftone.training.stop_flag import Wish

_LOOK_EVERY_SECS = 1.0


class Watch(tf.keras.callbacks.Callback):
    """About once a second ranks look whether one has news, and then stop as one.

    Args:
        first_step: steps of the epoch that were done before.
    """

    def __init__(self, network: Network, steps: Steps, first_step: int, wish: Wish) -> None:
        super().__init__()
        self._supports_tf_logs = True  # else Keras waits for the metrics at every step
        self._network, self._steps, self._wish = network, steps, wish
        # Looks come after whole updates: what is added up in between would be lost with a stop.
        self._every_updates = 1
        self._next_look = first_step + network.aggregate_steps
        self._told_step, self._told = first_step, time.monotonic()
        self.done = first_step  # steps of the epoch
        self.bad_step = 0  # the first (from 1) whose loss was not finite, on any rank
        self.is_asked = False  # to stop

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        self.done += 1
        self._steps.one(lambda: {name: float((logs or {})[name]) for name in ("loss", "accuracy")})
        if self._wish.is_made():
            self._network.ask_to_stop()
        if self.done == self._next_look:
            if self._network.has_news:
                self.agree()
            self._plan_look()
        if self.done == self._next_look - self._network.aggregate_steps:
            self._tell_pace()

    def _plan_look(self) -> None:
        """Choose the step of the next look, the same on all ranks: one alone would wait for ever.

        So what counts is the pace that came with the gradients. No more than twice as many steps
        as the last time: the first ones of an epoch may find batches that were made ahead.
        """
        update_steps = self._network.aggregate_steps
        wanted = int(_LOOK_EVERY_SECS * self._network.steps_per_sec) // update_steps
        self._every_updates = max(1, min(2 * self._every_updates, wanted))
        self._next_look = self.done + self._every_updates * update_steps

    def _tell_pace(self) -> None:
        """Send along this rank's pace with the last gradients before a look."""
        now = time.monotonic()
        self._network.tell_pace((self.done - self._told_step) / (now - self._told))
        self._told_step, self._told = self.done, now

    def agree(self) -> None:
        """Ask all ranks what they saw, and end the epoch here where that is called for."""
        seen = [self._network.first_bad_step, int(self._wish.is_made())]
        if hvd.size() > 1:
            seen = hvd.allreduce(tf.constant(seen), op=hvd.Max, name="seen").numpy().tolist()
        self.bad_step, self.is_asked = seen[0], bool(seen[1])
        if self.bad_step or self.is_asked:
            self._network.stop_training = True
