"""Look at a running epoch: its progress, a loss gone wrong, a wish to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import horovod.tensorflow as hvd
import tensorflow as tf

from halftone.progress import Steps
from halftone.step import Network
from halftone.stopping import Wish


class Watch(tf.keras.callbacks.Callback):
    """Every `every_steps` steps ranks look whether one has news, and then stop as one.

    Args:
        first_step: steps of the epoch that were done before.
    """

    def __init__(
        self, network: Network, steps: Steps, first_step: int, every_steps: int, wish: Wish
    ) -> None:
        super().__init__()
        self._supports_tf_logs = True  # else Keras waits for the metrics at every step
        self._network, self._steps, self._wish = network, steps, wish
        self._every_steps = every_steps
        self.done = first_step  # steps of the epoch
        self.bad_step = 0  # the first (from 1) whose loss was not finite, on any rank
        self.is_asked = False  # to stop

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        self.done += 1
        self._steps.one(lambda: {name: float((logs or {})[name]) for name in ("loss", "accuracy")})
        if self._wish.is_made():
            self._network.ask_to_stop()
        if self.done % self._every_steps == 0 and self._network.has_news:
            self.agree()

    def agree(self) -> None:
        """Ask all ranks what they saw, and end the epoch here where that is called for."""
        seen = [self._network.first_bad_step, int(self._wish.is_made())]
        if hvd.size() > 1:
            seen = hvd.allreduce(tf.constant(seen), op=hvd.Max, name="seen").numpy().tolist()
        self.bad_step, self.is_asked = seen[0], bool(seen[1])
        if self.bad_step or self.is_asked:
            self._network.stop_training = True
