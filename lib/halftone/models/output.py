"""The output layer, which all families but `custom` share."""

from __future__ import annotations

import tensorflow as tf

OUTPUT_LAYER = "probability"


def add_output_layer(x: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Add a sigmoid for the second of two classes, or a softmax for more; float32."""
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    return tf.keras.layers.Dense(units, activation, dtype="float32", name=OUTPUT_LAYER)(x)


def scale_output(x: tf.Tensor, output_scale: float) -> tf.Tensor:
    """Multiply the input of the output layer, (N, F), by `output_scale`."""
    return x if output_scale == 1 else tf.keras.layers.Rescaling(output_scale)(x)
