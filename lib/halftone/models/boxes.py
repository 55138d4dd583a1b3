"""Boxes of pixels, one in each image."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Boxes(NamedTuple):
    """The rows from `top` to before `bottom`, and the columns from `left` to before `right`.

    Each is (N,) int32. What is outside of an image is no part of its box.
    """

    top: tf.Tensor
    bottom: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor

    def masks(self, height_px: int, width_px: int) -> tf.Tensor:
        """Return whether each pixel is in the box of its image, (N, H, W, 1) bool."""
        rows = _is_between(self.top, self.bottom, height_px)
        columns = _is_between(self.left, self.right, width_px)
        return (rows[:, :, None] & columns[:, None, :])[..., None]


def _is_between(start: tf.Tensor, stop: tf.Tensor, side_px: int) -> tf.Tensor:
    positions = tf.range(side_px)
    return (positions >= start[:, None]) & (positions < stop[:, None])
