"""Fit a picture into the shape of a spec inside TensorFlow's graph, as `images.fitting` does.

A resize is linear in rows and in columns: two products with a matrix. So one function covers areas
whose edges lie within pixels, enlarging and mirroring. The result is rounded once, where OpenCV
rounds after shrinking and after enlarging: values may differ by one grey level.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from halftone.config import PixelSpec


class GraphPlacement(NamedTuple):
    """`images.fitting.Placement` as scalar tensors, int32."""

    top_px: tf.Tensor
    left_px: tf.Tensor
    height_px: tf.Tensor
    width_px: tf.Tensor
    shown_height_px: tf.Tensor
    shown_width_px: tf.Tensor


def place_in_graph(height_px: tf.Tensor, width_px: tf.Tensor, spec: PixelSpec) -> GraphPlacement:
    """Place an upright source of this size, int32 scalars."""
    zero = tf.constant(0)
    shown = (tf.constant(spec.height_px), tf.constant(spec.width_px))
    sides = (tf.cast(height_px, tf.float64), tf.cast(width_px, tf.float64))
    if spec.fit == "crop":
        scale = tf.minimum(sides[0] / spec.height_px, sides[1] / spec.width_px)
        part_height_px = tf.minimum(height_px, _round_side(spec.height_px * scale))
        part_width_px = tf.minimum(width_px, _round_side(spec.width_px * scale))
        top_px, left_px = (height_px - part_height_px) // 2, (width_px - part_width_px) // 2
        return GraphPlacement(top_px, left_px, part_height_px, part_width_px, *shown)
    if spec.fit == "pad":
        scale = tf.minimum(spec.height_px / sides[0], spec.width_px / sides[1])
        shown = (_round_side(sides[0] * scale), _round_side(sides[1] * scale))
    return GraphPlacement(zero, zero, height_px, width_px, *shown)


def _round_side(side: tf.Tensor) -> tf.Tensor:
    # Halves are rounded to even numbers, as by Python.
    return tf.maximum(tf.cast(tf.round(side), tf.int32), 1)


def resize_in_graph(pixels: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Multiply (h, w, C) uint8 by the weights of rows and of columns.

    Args:
        rows: weights (height, h) float32, of `axis_weights`.
        columns: weights (width, w).

    Returns:
        (height, width, C) uint8.
    """
    height, width, channels = tf.unstack(tf.shape(pixels))
    x = tf.reshape(tf.cast(pixels, tf.float32), [height, width * channels])
    x = tf.reshape(rows @ x, [-1, width, channels])
    x = tf.einsum("ow,hwc->hoc", columns, x)
    return tf.cast(tf.clip_by_value(tf.round(x), 0, 255), tf.uint8)


def axis_weights(
    start: tf.Tensor, length: tf.Tensor, side_px: tf.Tensor, output_px: tf.Tensor
) -> tf.Tensor:
    """Return the weight of each input pixel in each output pixel, (output_px, side_px) float32.

    Args:
        start: float32, where the part begins, in input pixels; it may lie within one.
        length: float32, how long the part is. If it is longer than the output, each output pixel is
            the mean of an area; else it is interpolated linearly.
    """
    scale = length / tf.cast(output_px, tf.float32)
    outputs = tf.range(output_px, dtype=tf.int32)[:, None]
    outputs = tf.cast(outputs, tf.float32)
    inputs = tf.cast(tf.range(side_px, dtype=tf.int32), tf.float32)
    # The last area may end past the part by a rounding error.
    area_start = start + outputs * scale
    area_end = tf.minimum(start + (outputs + 1) * scale, start + length)
    overlap = tf.minimum(area_end, inputs + 1) - tf.maximum(area_start, inputs)
    areas = tf.maximum(overlap, 0) / scale
    centres = tf.clip_by_value((area_start + area_end) / 2 - 0.5, start, start + length - 1)
    linear = tf.maximum(0.0, 1 - tf.abs(inputs - centres))
    weights = tf.where(scale >= 1, areas, linear)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def pad_in_graph(pixels: tf.Tensor, spec: PixelSpec) -> tf.Tensor:
    """Add margins of the background to (h, w, C) uint8, up to the size of `spec`."""
    height, width, _ = tf.unstack(tf.shape(pixels))
    missing = [spec.height_px - height, spec.width_px - width]
    paddings = [[side // 2, side - side // 2] for side in missing]
    padded = tf.pad(pixels, [*paddings, [0, 0]], constant_values=spec.background)
    return tf.ensure_shape(padded, spec.shape)
