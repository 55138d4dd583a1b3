"""The optimizer of a training."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from halftone.config import TrainSettings
from halftone.models.output import OUTPUT_LAYER
from halftone.training import collectives, schedules


def build_optimizer(
    settings: TrainSettings, updates_per_epoch: int, plateau_factor: tf.Variable
) -> tf.keras.optimizers.Optimizer:
    """Build the optimizer; weight decay applies to kernels only.

    Args:
        plateau_factor: float32 scalar that multiplies the learning rate, for decay plateau.
    """
    peak = settings.learning_rate * (collectives.num_ranks() if settings.scale_learning_rate else 1)
    rate = schedules.build_rate(settings, peak, updates_per_epoch, plateau_factor)
    common = {
        "global_clipnorm": settings.clip_norm,
        "weight_decay": settings.weight_decay or None,
    }
    if settings.optimizer == "sgd":
        optimizer = _BiasRateSGD(
            settings.bias_learning_rate_factor,
            learning_rate=rate,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            **common,
        )
    elif settings.optimizer == "adamw":
        optimizer = tf.keras.optimizers.AdamW(rate, **common)
    else:
        optimizer = tf.keras.optimizers.Adam(rate, **common)
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class _BiasRateSGD(tf.keras.optimizers.SGD):
    """SGD with another learning rate for biases and shifts, but for those of the output layer.

    With momentum, a gradient that is multiplied by a factor is a learning rate that is.
    """

    def __init__(self, bias_factor: float, **arguments: Any) -> None:
        super().__init__(name="SGD", **arguments)
        self._bias_factor = bias_factor

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        is_bias = variable.name.endswith(("/bias:0", "/beta:0"))
        if is_bias and not variable.name.startswith(f"{OUTPUT_LAYER}/"):
            gradient = gradient * self._bias_factor
        super().update_step(gradient, variable)
