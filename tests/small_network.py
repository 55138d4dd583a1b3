"""The smallest network that can be trained with DistributedModel."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from halftone.config import TrainSettings
from halftone.training.distributed_model import DistributedModel


def small_network(steps_per_epoch: int = 10, **settings: Any) -> DistributedModel:
    """Build a logistic regression on two inputs, with all weights 0, ready for training."""
    inputs = tf.keras.Input((2,))
    layer = tf.keras.layers.Dense(
        1, activation="sigmoid", kernel_initializer="zeros", dtype="float32"
    )
    model = DistributedModel(inputs, layer(inputs))
    train = TrainSettings(**{"optimizer": "sgd", "learning_rate": 1.0, **settings})
    model.compile_for_training(train, num_classes=2, steps_per_epoch=steps_per_epoch)
    model.reset_steps(0)
    return model
