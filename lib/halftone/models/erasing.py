"""Layers that cover a part of each image in training. Input and output: (N, H, W, C)."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from halftone.models.boxes import Boxes
from halftone.models.per_image import PerImageLayer, whole_numbers


class Cutout(PerImageLayer):
    """Sets a square to the mean colour, at a place that may be partly outside of the image.

    From "Improved Regularization of Convolutional Neural Networks with Cutout" (DeVries and Taylor,
    2017, section 3.2). As there, the square's centre is any pixel with equal probability, and its
    value is the mean of the dataset: 0 after `train.normalise: standard`.
    """

    def __init__(self, side_px: int, means: Sequence[float]) -> None:
        """Set the side of the square, and the mean grey level of each channel."""
        super().__init__()
        self._side_px, self._means = side_px, tf.constant(means, tf.float32)

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        _, height_px, width_px, _ = images.shape
        y, x = tf.unstack(self.draw_fractions(images, 2))
        top = whole_numbers(y, height_px) - self._side_px // 2
        left = whole_numbers(x, width_px) - self._side_px // 2
        boxes = Boxes(top, top + self._side_px, left, left + self._side_px)
        return tf.where(boxes.masks(height_px, width_px), self._means, images)


class RandomErasing(PerImageLayer):
    """Sets a rectangle inside of an image to random grey levels, with a given probability.

    From "Random Erasing Data Augmentation" (Zhong et al., 2017, section 3.2): 2 to 33 % of the
    area, with a height of 0.3 to 1 / 0.3 widths. As in the authors' code, sizes are drawn until one
    is smaller than the image, and then a place inside of it; after 10 sizes the image stays as it
    is.
    """

    _MIN_AREA, _MAX_AREA = 0.02, 0.33  # of the image
    _MIN_ASPECT, _MAX_ASPECT = 0.3, 1 / 0.3
    _NUM_SIZES = 10

    def __init__(self, probability: float) -> None:
        """Set the probability that an image is changed."""
        super().__init__()
        self._probability = probability

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        _, height_px, width_px, _ = images.shape
        fractions = self.draw_fractions(images, 3 + 2 * self._NUM_SIZES)
        chance, y, x = tf.unstack(fractions[:3])
        areas, aspects = tf.split(fractions[3:], 2)
        areas = self._MIN_AREA + (self._MAX_AREA - self._MIN_AREA) * areas
        aspects = self._MIN_ASPECT + (self._MAX_ASPECT - self._MIN_ASPECT) * aspects
        areas_px = areas * height_px * width_px
        heights_px = tf.cast(tf.round(tf.sqrt(areas_px * aspects)), tf.int32)
        widths_px = tf.cast(tf.round(tf.sqrt(areas_px / aspects)), tf.int32)
        is_inside = (heights_px < height_px) & (widths_px < width_px)
        first = tf.argmax(tf.cast(is_inside, tf.int32), axis=0)
        box_height, box_width = (
            tf.gather(tf.transpose(sides), first, batch_dims=1) for sides in (heights_px, widths_px)
        )
        is_erased = tf.reduce_any(is_inside, axis=0) & (chance < self._probability)
        box_height = tf.where(is_erased, box_height, 0)
        top = whole_numbers(y, height_px - box_height + 1)
        left = whole_numbers(x, width_px - box_width + 1)
        boxes = Boxes(top, top + box_height, left, left + box_width)
        noise = 255 * self.draw_fractions_of(tf.shape(images))
        return tf.where(boxes.masks(height_px, width_px), noise, images)
