"""Convolutions, each followed by 2x2 pooling, then dense layers.

Input: (N, H, W, C) float32. Output: (N, F) float32, F the last dense layer's units (or what
flattening leaves). With filters 32-32 and dense 128 it is model 1 of "Optimization of ConvNets
for big data computing and binary image classification" (Rossi, 2022, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

_POOLINGS = {
    "max": tf.keras.layers.MaxPooling2D,
    "average": tf.keras.layers.AveragePooling2D,
}
_ACTIVATIONS = {"relu": tf.keras.layers.ReLU, "leaky_relu": tf.keras.layers.LeakyReLU}


def layers(
    x: tf.Tensor,
    *,
    filters: Sequence[int],
    kernels_px: Sequence[int],
    padding: str,
    pooling: str,
    activation: str,
    batch_norm: bool,
    conv_dropout: float,
    dense: Sequence[int],
    dense_dropout: float,
) -> tf.Tensor:
    """Add the layers; the parameters are those of the config's `Convnet`."""
    kernels_px = list(kernels_px) * len(filters) if len(kernels_px) == 1 else kernels_px
    for num_filters, kernel_px in zip(filters, kernels_px):
        x = tf.keras.layers.Conv2D(num_filters, kernel_px, padding=padding)(x)
        x = _ACTIVATIONS[activation]()(x)
        if batch_norm:
            x = tf.keras.layers.BatchNormalization()(x)
        x = _POOLINGS[pooling](2)(x)
        if conv_dropout:
            x = tf.keras.layers.Dropout(conv_dropout)(x)
    x = tf.keras.layers.Flatten()(x)
    for units in dense:
        x = tf.keras.layers.Dense(units)(x)
        x = _ACTIVATIONS[activation]()(x)
        if dense_dropout:
            x = tf.keras.layers.Dropout(dense_dropout)(x)
    return x
