"""Dense layers on the flattened pixels; without hidden layers, a logistic regression.

Input: (N, H, W, C) float32. Output: (N, F) float32. Hidden layers of 200 and 60 units give the
multi-layer perceptron of "Deep-learning-based system for image classification" (Ciarrocchi,
2022, section 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import tensorflow as tf


def add_mlp_layers(x: tf.Tensor, *, hidden: Sequence[int], dropout: Sequence[float]) -> tf.Tensor:
    """Add the layers; the parameters are those of the config's `Mlp`."""
    x = tf.keras.layers.Flatten()(x)
    for units, rate in zip(hidden, cycle(dropout)):
        x = tf.keras.layers.Dense(units, activation="relu")(x)
        if rate:
            x = tf.keras.layers.Dropout(rate)(x)
    return x
