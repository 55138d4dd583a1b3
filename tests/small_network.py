"""The smallest network that takes a training's steps."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from halftone.config import TrainSettings
from halftone.training.distributed_model import DistributedModel


def network(epoch_steps: int = 10, **settings: Any) -> DistributedModel:
    """Logistic regression on two inputs, all weights 0 at first."""
    inputs = tf.keras.Input((2,))
    layer = tf.keras.layers.Dense(
        1, activation="sigmoid", kernel_initializer="zeros", dtype="float32"
    )
    made = DistributedModel(inputs, layer(inputs))
    train = TrainSettings(**{"optimizer": "sgd", "learning_rate": 1.0, **settings})
    made.prepare(train, num_classes=2, epoch_steps=epoch_steps)
    made.reset_steps(0)
    return made
