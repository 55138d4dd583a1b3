"""An exponential moving average of the weights, which is validated and published.

Averages of weights along a training are better than the last ones: "Acceleration of stochastic
approximation by averaging" (Polyak and Juditsky, 1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import tensorflow as tf


class WeightAverage:
    """The moving average of variables, also of batch normalisation's statistics.

    After update n the average keeps min(decay, (1 + n) / (10 + n)) of itself, as
    tf.train.ExponentialMovingAverage does: the initial weights are forgotten early.

    Args:
        weights: of the model, in the order of its `get_weights`.
        decay: between 0 and 1.
    """

    def __init__(self, weights: Sequence[tf.Variable], decay: float) -> None:
        self._weights, self._decay = list(weights), decay
        self.variables = [tf.Variable(weight.numpy(), trainable=False) for weight in weights]

    def restart(self) -> None:
        """Set the average to the weights."""
        for average, weight in zip(self.variables, self._weights):
            average.assign(weight)

    def update(self, num_updates: tf.Tensor) -> None:
        """Add the weights after `num_updates` updates, from 1."""
        number = tf.cast(num_updates, tf.float32)
        kept = tf.minimum(self._decay, (1 + number) / (10 + number))
        for average, weight in zip(self.variables, self._weights):
            if average.dtype.is_floating:
                average.assign_sub((1 - kept) * (average - weight))
            else:
                average.assign(weight)

    def values(self) -> list[npt.NDArray[Any]]:
        return [average.numpy() for average in self.variables]

    def load(self, values: Sequence[npt.NDArray[Any]]) -> None:
        """Set the average to `values` of an earlier time."""
        for average, value in zip(self.variables, values):
            average.assign(value)
