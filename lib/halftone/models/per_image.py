"""The base of layers that change each image of a step at random, in training only."""

from __future__ import annotations

from typing import Any, Union

import tensorflow as tf

# float32 under any global policy: half precision is too coarse for grey levels 0..255.
DTYPE = "float32"


class PerImageLayer(tf.keras.__internal__.layers.BaseRandomLayer):
    """A layer that changes images in training. Its generator is not one of the model's weights."""

    def __init__(self) -> None:
        super().__init__(force_generator=True, dtype=DTYPE)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        images = tf.cast(images, DTYPE)
        return self.transform_images(images) if training else images

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def draw_uniform(self, images: tf.Tensor, count: int) -> tf.Tensor:
        """Draw (count, N) uniform numbers in [-1, 1)."""
        return self._random_generator.random_uniform([count, tf.shape(images)[0]], -1.0, 1.0)

    def draw_fractions(self, images: tf.Tensor, count: int) -> tf.Tensor:
        """Draw (count, N) uniform numbers in [0, 1)."""
        return self.draw_fractions_of([count, tf.shape(images)[0]])

    def draw_fractions_of(self, shape: Union[tf.Tensor, list[Any]]) -> tf.Tensor:
        """Draw uniform numbers in [0, 1) of a shape."""
        return self._random_generator.random_uniform(shape)


def whole_numbers(fractions: tf.Tensor, stop: Union[int, tf.Tensor]) -> tf.Tensor:
    """Map numbers in [0, 1) to equally likely whole numbers from 0 to before `stop`, int32."""
    # The largest number that TensorFlow draws is 1 - 2^-23, whose product is not rounded up.
    return tf.cast(fractions * tf.cast(stop, fractions.dtype), tf.int32)
