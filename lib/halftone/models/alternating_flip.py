"""Horizontal flips that alternate from epoch to epoch, so that both versions are seen alike often.

From "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (Jordan, 2024, section 3.6). There the number
of an image decides which of its versions comes first; here its pixels do, which all ranks know.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from halftone.models import layer_weights
from halftone.models.per_image import DTYPE

# Grid of the pixels that are hashed, in each direction. All pixels of large images would need 8
# times the memory of the images.
_MAX_GRID_PX = 64
_HASH_BITS = 32


class AlternatingFlip(tf.keras.layers.Layer):
    """Flips about half of the images in an epoch, and the others in the next one.

    Input: (N, H, W, C) uint8. Output: (N, H, W, C) float32.
    """

    def __init__(self) -> None:
        super().__init__(dtype=DTYPE)
        self._state = _EpochState()

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch, from 1."""
        self._state.epoch.assign(epoch)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        grey_levels = tf.cast(images, DTYPE)
        if not training:
            return grey_levels
        is_flipped = (_hash_bits(images) + self._state.epoch) % 2 == 1
        flipped = tf.reverse(grey_levels, axis=[2])
        return tf.where(is_flipped[:, None, None, None], flipped, grey_levels)


class _EpochState:
    """The variable of a layer, in a class that hides it from Keras: it is not a weight."""

    def __init__(self) -> None:
        self.epoch = tf.Variable(1, trainable=False, dtype=tf.int64)


def set_epoch(model: tf.keras.Model, epoch: int) -> None:
    """Tell the layers of `model` that depend on it the number of the epoch, from 1."""
    for layer in layer_weights.nested_layers(model):
        if isinstance(layer, AlternatingFlip):
            layer.set_epoch(epoch)


def _hash_bits(images: tf.Tensor) -> tf.Tensor:
    """Return a bit for each image, (N,) int64, that depends on nothing but its pixels.

    Multilinear hashing (Dietzfelbinger, 1996): the highest bit of a sum of products with constants
    modulo 2^32. Two different images have different bits for half of all constants.
    """
    _, height_px, width_px, channels = images.shape
    rows, columns = (slice(None, None, -(-side // _MAX_GRID_PX)) for side in (height_px, width_px))
    grid = tf.cast(images[:, rows, columns], tf.int64)
    shape = (*grid.shape[1:3], channels)
    factors = np.random.default_rng(0).integers(0, 2**_HASH_BITS, shape, dtype=np.int64)
    sums = tf.reduce_sum(grid * factors, axis=[1, 2, 3])
    return tf.bitwise.right_shift(sums, tf.constant(_HASH_BITS - 1, tf.int64)) % 2
