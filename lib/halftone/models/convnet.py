"""Convolutional networks: convolutions, 2x2 pooling after all or some of them, dense layers.

Input: (N, H, W, C) float32. Output: (N, F) float32, where F is the number of units of the last
dense layer, or of values after flattening or global pooling if there is none. With filters 32-32
and dense 128 it is model 1 of "Optimization of ConvNets for big data computing and binary image
classification" (Rossi, 2022, section 4.1). `whitening_px`, `identity_start`, `output_scale` and
pooling before the activation are those of "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"
(Jordan, 2024, section 3); `training.initial_kernels` sets the weights of the first two.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import cycle
from typing import Optional

import tensorflow as tf

from halftone.models.output import scale_output

WHITENING_LAYER = "whitening"
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
    batch_norm_scale: bool,
    pool_before_activation: bool,
    conv_bias: bool,
    conv_dropout: float,
    whitening_px: Optional[int],
    identity_start: bool,  # of the weights alone
    global_average: bool,
    global_max: bool,
    dense: Sequence[int],
    dense_dropout: Sequence[float],
    output_scale: float,
) -> tf.Tensor:
    """Add the layers; the parameters are those of the config's `Convnet`."""
    if whitening_px:
        x = _add_whitening(x, whitening_px)
        x = _add_activation(x, activation[0], leaky_slope)
    # Shared by convolutions and dense layers: the dense layers continue the sequence.
    activations = cycle(activation)
    sizes = zip(filters, cycle(kernels_px), cycle(strides_px))
    for number, (num_filters, kernel_px, stride_px) in enumerate(sizes, 1):
        convolution = tf.keras.layers.Conv2D(
            num_filters, kernel_px, stride_px, padding, use_bias=conv_bias
        )
        x = convolution(x)
        has_pooling = pool_after is None or number in pool_after
        if has_pooling and pool_before_activation:
            x = _POOLINGS[pooling](2, padding=pool_padding)(x)
        if batch_norm and batch_norm_before_activation:
            x = _normalise(x, batch_norm_momentum, batch_norm_scale)
        x = _add_activation(x, next(activations), leaky_slope)
        if batch_norm and not batch_norm_before_activation:
            x = _normalise(x, batch_norm_momentum, batch_norm_scale)
        if has_pooling and not pool_before_activation:
            x = _POOLINGS[pooling](2, padding=pool_padding)(x)
        if has_pooling and conv_dropout:
            x = tf.keras.layers.Dropout(conv_dropout)(x)
    if global_average:
        x = tf.keras.layers.GlobalAveragePooling2D()(x)
    elif global_max:
        x = tf.keras.layers.GlobalMaxPooling2D()(x)
    else:
        x = tf.keras.layers.Flatten()(x)
    for units, rate in zip(dense, cycle(dense_dropout)):
        x = tf.keras.layers.Dense(units)(x)
        x = _add_activation(x, next(activations), leaky_slope)
        if rate:
            x = tf.keras.layers.Dropout(rate)(x)
    return scale_output(x, output_scale)


def _normalise(x: tf.Tensor, momentum: float, has_scale: bool) -> tf.Tensor:
    return tf.keras.layers.BatchNormalization(momentum=momentum, scale=has_scale)(x)


def _add_whitening(x: tf.Tensor, side_px: int) -> tf.Tensor:
    """Add the convolution whose kernels `training.initial_kernels` computes from the pixels.

    Each patch gives as many values as it has, and their negatives, so that an activation after it
    loses nothing. There is no padding: the kernels are those of patches without it.
    """
    num_filters = 2 * side_px * side_px * x.shape[-1]
    return tf.keras.layers.Conv2D(
        num_filters, side_px, use_bias=False, trainable=False, name=WHITENING_LAYER
    )(x)


def _add_activation(x: tf.Tensor, activation: str, leaky_slope: float) -> tf.Tensor:
    if activation == "relu":
        return tf.keras.layers.ReLU()(x)
    if activation == "leaky_relu":
        return tf.keras.layers.LeakyReLU(leaky_slope)(x)
    if activation == "gelu":
        return tf.keras.layers.Activation("gelu")(x)
    return x
