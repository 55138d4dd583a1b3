"""Random changes of the colours of images in training. Input and output: (N, H, W, 3), RGB."""

from __future__ import annotations

import tensorflow as tf

from halftone.models.per_image import PerImageLayer


class RandomColour(PerImageLayer):
    """Turns the hue and multiplies the saturation of HSV, by one value each per image.

    The functions of `tf.image` take one value for all images.
    """

    def __init__(self, hue_fraction: float, saturation_fraction: float) -> None:
        """Set the largest changes: of the hue in turns of the colour circle, 0.5 for any hue."""
        super().__init__()
        self._hue_fraction, self._saturation_fraction = hue_fraction, saturation_fraction

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        uniform = self.draw_uniform(images, 2)[:, :, None, None]
        hue, saturation, value = tf.unstack(tf.image.rgb_to_hsv(images / 255), axis=-1)
        hue = tf.math.floormod(hue + self._hue_fraction * uniform[0], 1.0)
        factor = 1 + self._saturation_fraction * uniform[1]
        saturation = tf.clip_by_value(saturation * factor, 0, 1)
        return 255 * tf.image.hsv_to_rgb(tf.stack([hue, saturation, value], axis=-1))
