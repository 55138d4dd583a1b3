"""Random changes of images in training, each image on its own; in inference nothing changes.

Input: (N, H, W, C) uint8. Output: (N, H, W, C) float32, grey levels 0..255 as before. What a shift,
a rotation or a zoom leaves empty takes the colour of the nearest edge.
"""

from __future__ import annotations

import math

import tensorflow as tf

# float32 whatever the global policy: half precision cannot tell grey levels of 0..255 apart well.
_DTYPE = "float32"
_FLIPS = {
    "horizontal": "horizontal",
    "vertical": "vertical",
    "both": "horizontal_and_vertical",
}


def add_augmentation(
    x: tf.Tensor,
    *,
    flip: str,
    shift_fraction: float,
    rotate_degrees: float,
    zoom_fraction: float,
    brightness_fraction: float,
    contrast_fraction: float,
) -> tf.Tensor:
    """Add a layer for each change asked for; the parameters are those of the config's `Augment`."""
    if flip != "none":
        x = tf.keras.layers.RandomFlip(_FLIPS[flip], dtype=_DTYPE)(x)
    if shift_fraction or rotate_degrees or zoom_fraction:
        x = RandomPlacement(shift_fraction, rotate_degrees, zoom_fraction)(x)
    if brightness_fraction:
        x = tf.keras.layers.RandomBrightness(brightness_fraction, dtype=_DTYPE)(x)
    if contrast_fraction:
        x = RandomContrast(contrast_fraction)(x)
    return x


class _PerImageLayer(tf.keras.__internal__.layers.BaseRandomLayer):
    """A layer that changes images in training; its generator is none of the model's weights."""

    def __init__(self) -> None:
        super().__init__(force_generator=True, dtype=_DTYPE)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        images = tf.cast(images, _DTYPE)
        return self._transform_images(images) if training else images

    def _transform_images(self, images: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def _draw_uniform(self, images: tf.Tensor, count: int) -> tf.Tensor:
        """(count, N) numbers from -1 to 1."""
        return self._random_generator.random_uniform([count, tf.shape(images)[0]], -1.0, 1.0)


class RandomPlacement(_PerImageLayer):
    """Shifts, rotates about the centre, and zooms: all with one resampling.

    Keras has a layer for each of the three, each of which blurs what the last one left. A shift is
    by whole pixels, so that an image that is only shifted stays as sharp as those to be scored.
    """

    def __init__(self, shift_fraction: float, rotate_degrees: float, zoom_fraction: float) -> None:
        """Take the largest change either way; zoom is the change of the side that is seen."""
        super().__init__()
        self._shift_fraction = shift_fraction
        self._radians = math.radians(rotate_degrees)
        self._zoom_fraction = zoom_fraction

    def _transform_images(self, images: tf.Tensor) -> tf.Tensor:
        _, height_px, width_px, _ = images.shape
        turn, zoom, right, down = tf.unstack(self._draw_uniform(images, 4))
        right_px, down_px = self._shift_px(right, width_px), self._shift_px(down, height_px)
        side = 1 + self._zoom_fraction * zoom
        along, across = side * tf.cos(self._radians * turn), side * tf.sin(self._radians * turn)
        # Pixel (x, y) of the output is taken from (along x - across y, across x + along y) of the
        # input, both counted from the centre, which the shift has moved in the output.
        x, y = (width_px - 1) / 2, (height_px - 1) / 2
        moved_x, moved_y = x + right_px, y + down_px
        nothing = tf.zeros_like(side)
        rows = [
            *(along, -across, x - along * moved_x + across * moved_y),
            *(across, along, y - across * moved_x - along * moved_y),
            *(nothing, nothing),
        ]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack(rows, axis=1),
            output_shape=[height_px, width_px],
            interpolation="BILINEAR",
            fill_mode="NEAREST",
            fill_value=0.0,
        )

    def _shift_px(self, drawn: tf.Tensor, side_px: int) -> tf.Tensor:
        """Whole pixels, up to the fraction of the side, from numbers from -1 to 1."""
        most_px = math.floor(self._shift_fraction * side_px)
        return tf.floor((drawn + 1) / 2 * (2 * most_px + 1)) - most_px


class RandomContrast(_PerImageLayer):
    """Multiplies each pixel's distance from its channel's mean, in each image, by one number.

    Keras's layer of this name draws one number for all images of a step.
    """

    def __init__(self, fraction: float) -> None:
        """Take the largest change of the contrast, as a fraction of it, either way."""
        super().__init__()
        self._fraction = fraction

    def _transform_images(self, images: tf.Tensor) -> tf.Tensor:
        factor = 1 + self._fraction * tf.reshape(self._draw_uniform(images, 1), [-1, 1, 1, 1])
        mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
        return tf.clip_by_value(mean + factor * (images - mean), 0, 255)
