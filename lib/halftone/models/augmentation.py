"""Random augmentation of images in training, drawn per image; inference is unchanged.

Input: (N, H, W, C) uint8. Output: (N, height, width, C) float32 of the network's input size, still
grey levels 0..255. Pixels that a shift, a rotation or a zoom leaves empty are filled from the
nearest edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

import tensorflow as tf

from halftone.models import alternating_flip, resized_crop
from halftone.models.colours import RandomColour
from halftone.models.erasing import Cutout, RandomErasing
from halftone.models.padded_crop import RandomPaddedCrop
from halftone.models.per_image import DTYPE, PerImageLayer

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
    crop_padding_px: int,
    rotate_degrees: float,
    zoom_fraction: float,
    brightness_fraction: float,
    contrast_fraction: float,
    hue_fraction: float,
    saturation_fraction: float,
    cutout_px: int,
    erase_probability: float,
    random_resized_crop_min_area: Optional[float],
    input_size: tuple[int, int],
    means: Optional[Sequence[float]] = None,
) -> tf.Tensor:
    """Add a layer for each augmentation; the parameters are those of the config's `Augment`.

    Args:
        input_size: height and width to which images are resized.
        means: grey level of each channel of the train split, which `cutout_px` needs.

    Raises:
        ValueError: `cutout_px` is set and there are no means.
    """
    if flip == "alternating":
        x = alternating_flip.AlternatingFlip()(x)
    elif flip != "none":
        x = tf.keras.layers.RandomFlip(_FLIPS[flip], dtype=DTYPE)(x)
    if random_resized_crop_min_area is None:
        x = resized_crop.add_resizing(x, input_size)
    else:
        x = resized_crop.RandomResizedCrop(random_resized_crop_min_area, input_size)(x)
    if shift_fraction or rotate_degrees or zoom_fraction:
        x = RandomPlacement(shift_fraction, rotate_degrees, zoom_fraction)(x)
    if crop_padding_px:
        x = RandomPaddedCrop(crop_padding_px)(x)
    if brightness_fraction:
        x = tf.keras.layers.RandomBrightness(brightness_fraction, dtype=DTYPE)(x)
    if contrast_fraction:
        x = RandomContrast(contrast_fraction)(x)
    if hue_fraction or saturation_fraction:
        x = RandomColour(hue_fraction, saturation_fraction)(x)
    if cutout_px:
        if means is None:
            raise ValueError(f"cutout_px {cutout_px} needs the dataset's statistics")
        x = Cutout(cutout_px, means)(x)
    if erase_probability:
        x = RandomErasing(erase_probability)(x)
    return x


class RandomPlacement(PerImageLayer):
    """Shifts, rotates about the centre and zooms, with a single resampling.

    Keras has a layer for each of the three, and each of them blurs the image. Shifts are by whole
    pixels, so that an image that is only shifted stays as sharp as the images that are scored.
    """

    def __init__(self, shift_fraction: float, rotate_degrees: float, zoom_fraction: float) -> None:
        """Set the largest change in either direction; that of zoom is of the visible side."""
        super().__init__()
        self._shift_fraction = shift_fraction
        self._radians = math.radians(rotate_degrees)
        self._zoom_fraction = zoom_fraction

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        _, height_px, width_px, _ = images.shape
        rotation, zoom, right, down = tf.unstack(self.draw_uniform(images, 4))
        right_px, down_px = self._shift_px(right, width_px), self._shift_px(down, height_px)
        scale, radians = 1 + self._zoom_fraction * zoom, self._radians * rotation
        a, b = scale * tf.cos(radians), scale * tf.sin(radians)
        # Output pixel (x, y) is sampled at input (a x - b y, b x + a y), both relative to the
        # centre. In the output the centre is shifted.
        centre_x, centre_y = (width_px - 1) / 2, (height_px - 1) / 2
        shifted_x, shifted_y = centre_x + right_px, centre_y + down_px
        zeros = tf.zeros_like(scale)
        coefficients = [
            *(a, -b, centre_x - a * shifted_x + b * shifted_y),
            *(b, a, centre_y - b * shifted_x - a * shifted_y),
            *(zeros, zeros),
        ]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack(coefficients, axis=1),
            output_shape=[height_px, width_px],
            interpolation="BILINEAR",
            fill_mode="NEAREST",
            fill_value=0.0,
        )

    def _shift_px(self, uniform: tf.Tensor, side_px: int) -> tf.Tensor:
        """Map numbers in [-1, 1) to whole pixels, up to the fraction of the side."""
        max_px = math.floor(self._shift_fraction * side_px)
        return tf.floor((uniform + 1) / 2 * (2 * max_px + 1)) - max_px


class RandomContrast(PerImageLayer):
    """Multiplies each pixel's distance from the mean of its channel by one factor per image.

    Keras's layer of this name draws one factor for all images of a step.
    """

    def __init__(self, fraction: float) -> None:
        """Set the largest relative change of the contrast, in either direction."""
        super().__init__()
        self._fraction = fraction

    def transform_images(self, images: tf.Tensor) -> tf.Tensor:
        factor = 1 + self._fraction * tf.reshape(self.draw_uniform(images, 1), [-1, 1, 1, 1])
        mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
        return tf.clip_by_value(mean + factor * (images - mean), 0, 255)
