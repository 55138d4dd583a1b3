"""Images become the network's input: all of an image, or in training a random part, is resized.

Input: (N, H, W, C) grey levels. Output: (N, height, width, C) float32.
"""

from __future__ import annotations

import math

import tensorflow as tf

from halftone.models.boxes import Boxes
from halftone.models.per_image import DTYPE, PerImageLayer, whole_numbers

_MIN_ASPECT, _MAX_ASPECT = 3 / 4, 4 / 3
_NUM_SIZES = 10


def add_resizing(x: tf.Tensor, input_size: tuple[int, int]) -> tf.Tensor:
    """Add a layer that resizes images to a height and width, unless they have it.

    Each output pixel is the mean of an area of the image, so that thin lines do not break. The
    layer is one of Keras, so that the network opens without Halftone.
    """
    if tuple(x.shape[1:3]) == input_size:
        return x
    return tf.keras.layers.Resizing(*input_size, "area", dtype=DTYPE, name="resize")(x)


class RandomResizedCrop(PerImageLayer):
    """Resizes a random part of each image in training, and all of it in inference.

    From "Going Deeper with Convolutions" (Szegedy et al., 2015, section 6): the area of the part is
    uniform from a minimum to all of the image, and its width is 3/4 to 4/3 of its height, uniform
    on a logarithmic scale. As in torchvision, sizes are drawn until one fits into the image, and
    then a place; after 10 sizes it is the largest part in the centre. It is resized with a linear
    filter that is as wide as the pixels of the output, as `tf.image.resize(antialias=True)`.
    """

    def __init__(self, min_area: float, input_size: tuple[int, int]) -> None:
        """Set the least area, as a fraction of the image, and the output's height and width."""
        super().__init__()
        self._min_area, self._input_size = min_area, input_size

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            # The same operation as in the layer of `add_resizing`.
            return tf.image.resize(tf.cast(images, DTYPE), self._input_size, "area")
        return self.transform_images(tf.cast(images, DTYPE))

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        _, height_px, width_px, channels = images.shape
        height, width = self._input_size
        boxes = self._draw_boxes(images, height_px, width_px)
        # Resizing is linear in rows and in columns: two products with a matrix for each image.
        rows = _filters(boxes.top, boxes.bottom, height_px, height)
        columns = _filters(boxes.left, boxes.right, width_px, width)
        x = rows @ tf.reshape(images, [-1, height_px, width_px * channels])
        x = tf.transpose(tf.reshape(x, [-1, height, width_px, channels]), [0, 2, 1, 3])
        x = columns @ tf.reshape(x, [-1, width_px, height * channels])
        return tf.transpose(tf.reshape(x, [-1, width, height, channels]), [0, 2, 1, 3])

    def _draw_boxes(self, images: tf.Tensor, height_px: int, width_px: int) -> Boxes:
        fractions = self.draw_fractions(images, 2 + 2 * _NUM_SIZES)
        y, x = tf.unstack(fractions[:2])
        areas, aspects = tf.split(fractions[2:], 2)
        areas_px = (self._min_area + (1 - self._min_area) * areas) * height_px * width_px
        log_min, log_max = math.log(_MIN_ASPECT), math.log(_MAX_ASPECT)
        aspects = tf.exp(log_min + (log_max - log_min) * aspects)
        # Of a tiny part at least one pixel.
        heights = tf.maximum(tf.cast(tf.round(tf.sqrt(areas_px / aspects)), tf.int32), 1)
        widths = tf.maximum(tf.cast(tf.round(tf.sqrt(areas_px * aspects)), tf.int32), 1)
        fits = (heights <= height_px) & (widths <= width_px)
        first = tf.argmax(tf.cast(fits, tf.int32), axis=0)
        height, width = (
            tf.gather(tf.transpose(sides), first, batch_dims=1) for sides in (heights, widths)
        )
        top, left = whole_numbers(y, height_px - height + 1), whole_numbers(x, width_px - width + 1)
        central_height, central_width = _central_size(height_px, width_px)
        has_size = tf.reduce_any(fits, axis=0)
        height = tf.where(has_size, height, central_height)
        width = tf.where(has_size, width, central_width)
        top = tf.where(has_size, top, (height_px - central_height) // 2)
        left = tf.where(has_size, left, (width_px - central_width) // 2)
        return Boxes(top, top + height, left, left + width)


def _central_size(height_px: int, width_px: int) -> tuple[int, int]:
    """Return height and width of the largest part with a valid aspect ratio."""
    if width_px < _MIN_ASPECT * height_px:
        return max(1, round(width_px / _MIN_ASPECT)), width_px
    if width_px > _MAX_ASPECT * height_px:
        return height_px, max(1, round(height_px * _MAX_ASPECT))
    return height_px, width_px


def _filters(start: tf.Tensor, stop: tf.Tensor, side_px: int, output_px: int) -> tf.Tensor:
    """Return the weight of each input pixel in each output pixel, (N, output_px, side_px).

    Args:
        start, stop: (N,) int32, the interval of the input that becomes the output.
    """
    start, stop = (tf.cast(position, DTYPE)[:, None, None] for position in (start, stop))
    scale = (stop - start) / output_px
    centres = start + (tf.range(output_px, dtype=DTYPE) + 0.5)[:, None] * scale - 0.5
    positions = tf.range(side_px, dtype=DTYPE)
    weights = tf.maximum(0.0, 1 - tf.abs(positions - centres) / tf.maximum(scale, 1.0))
    weights = tf.where((positions >= start) & (positions < stop), weights, 0.0)
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)
