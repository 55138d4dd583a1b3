"""Random crops of images that are padded by reflection: shifts by whole pixels."""

from __future__ import annotations

import tensorflow as tf

from halftone.models.per_image import PerImageLayer, whole_numbers


class RandomPaddedCrop(PerImageLayer):
    """Pads by reflection on all sides, and crops the old size at a random place.

    The edge itself is not repeated, as with `tf.pad(mode="REFLECT")`. Each of the (2 p + 1)^2
    places is equally likely.
    """

    def __init__(self, padding_px: int) -> None:
        """Set the padding, less than each side of the images."""
        super().__init__()
        self._padding_px = padding_px

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        _, height_px, width_px, _ = images.shape
        down, right = tf.unstack(self.draw_fractions(images, 2))
        # Each image is a batched gather of its rows and then of its columns: no padded copy.
        images = tf.gather(images, self._sources(down, height_px), axis=1, batch_dims=1)
        return tf.gather(images, self._sources(right, width_px), axis=2, batch_dims=1)

    def _sources(self, fractions: tf.Tensor, side_px: int) -> tf.Tensor:
        """Return the input position of each output position, (N, side_px) int32."""
        start = whole_numbers(fractions, 2 * self._padding_px + 1) - self._padding_px
        position = tf.abs(start[:, None] + tf.range(side_px))
        last = side_px - 1
        return last - tf.abs(last - position)
