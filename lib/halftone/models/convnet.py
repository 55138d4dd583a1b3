"""Convolutional networks: convolutions, 2x2 pooling after all or some of them, dense layers.

Input: (N, H, W, C) float32. Output: (N, F) float32, where F is the number of units of the last
dense layer, or of values after flattening or averaging if there is none. With filters 32-32 and
dense 128 it is model 1 of "Optimization of ConvNets for big data computing and binary image
classification" (Rossi, 2022, section 4.1).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import cycle
from typing import Optional

import tensorflow as tf

_POOLINGS = {
    "max": tf.keras.layers.MaxPooling2D,
    "average": tf.keras.layers.AveragePooling2D,
}


def add_convnet_layers(
    x: tf.Tensor,
    *,
    filters: Sequence[int],
    kernels_px: Sequence[int],
    strides_px: Sequence[int],
    padding: str,
    pooling: str,
    pool_after: Optional[Collection[int]],
    pool_padding: str,
    activation: Sequence[str],
    leaky_slope: float,
    batch_norm: bool,
    batch_norm_before_activation: bool,
    batch_norm_momentum: float,
    conv_dropout: float,
    global_average: bool,
    dense: Sequence[int],
    dense_dropout: Sequence[float],
) -> tf.Tensor:
    """Add the layers; the parameters are those of the config's `Convnet`."""
    # Shared by convolutions and dense layers: the dense layers continue the sequence.
    activations = cycle(activation)
    sizes = zip(filters, cycle(kernels_px), cycle(strides_px))
    for number, (num_filters, kernel_px, stride_px) in enumerate(sizes, 1):
        x = tf.keras.layers.Conv2D(num_filters, kernel_px, stride_px, padding)(x)
        if batch_norm and batch_norm_before_activation:
            x = tf.keras.layers.BatchNormalization(momentum=batch_norm_momentum)(x)
        x = _add_activation(x, next(activations), leaky_slope)
        if batch_norm and not batch_norm_before_activation:
            x = tf.keras.layers.BatchNormalization(momentum=batch_norm_momentum)(x)
        if pool_after is None or number in pool_after:
            x = _POOLINGS[pooling](2, padding=pool_padding)(x)
            if conv_dropout:
                x = tf.keras.layers.Dropout(conv_dropout)(x)
    if global_average:
        x = tf.keras.layers.GlobalAveragePooling2D()(x)
    else:
        x = tf.keras.layers.Flatten()(x)
    for units, rate in zip(dense, cycle(dense_dropout)):
        x = tf.keras.layers.Dense(units)(x)
        x = _add_activation(x, next(activations), leaky_slope)
        if rate:
            x = tf.keras.layers.Dropout(rate)(x)
    return x


def _add_activation(x: tf.Tensor, activation: str, leaky_slope: float) -> tf.Tensor:
    if activation == "relu":
        return tf.keras.layers.ReLU()(x)
    if activation == "leaky_relu":
        return tf.keras.layers.LeakyReLU(leaky_slope)(x)
    return x
