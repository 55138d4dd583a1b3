"""The optimizer of a training."""

from __future__ import annotations

import tensorflow as tf

from halftone.config import TrainSettings
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
        optimizer = tf.keras.optimizers.SGD(
            rate, momentum=settings.momentum, nesterov=settings.nesterov, **common
        )
    elif settings.optimizer == "adamw":
        optimizer = tf.keras.optimizers.AdamW(rate, **common)
    else:
        optimizer = tf.keras.optimizers.Adam(rate, **common)
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
