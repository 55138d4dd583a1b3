"""Decode image files to pixels inside TensorFlow's graph, as near to `images.decode` as it can.

JPEG, PNG, GIF (first frame) and BMP are decoded, by TensorFlow's own decoders. What
differs from `images.decode` is in docs/how-to/export.md. A file that is not decoded fails the whole
batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from halftone.config import PixelSpec
from halftone.export.graph_fitting import (
    GraphPlacement,
    axis_weights,
    pad_in_graph,
    place_in_graph,
    resize_in_graph,
)
from halftone.export.graph_orientation import read_orientation_in_graph
from halftone.images.jpeg_scale import FULL_SCALE, MIN_REDUCED_PX
from halftone.images.orientation import MIRRORED_COLUMNS, MIRRORED_ROWS, SIDEWAYS, UPRIGHT

_PNG = b"\x89PNG\r\n\x1a\n"
_SCALES = (1, 2, 4, 8)  # eighths, of libjpeg
# Red, green and blue by ITU-R 601, in 1 / 2^15 as in OpenCV, which rounds in the same way.
_LUMA, _LUMA_BITS = (9798, 19235, 3735), 15


def decode_in_graph(data: tf.Tensor, spec: PixelSpec) -> tf.Tensor:
    """Decode one image file.

    Args:
        data: scalar string tensor, the bytes of the file.

    Returns:
        (height_px, width_px, channels) uint8.
    """
    pixels = tf.cond(
        tf.io.is_jpeg(data), lambda: _decode_jpeg(data, spec), lambda: _decode_still(data, spec)
    )
    return _as_stored(pixels, spec) if spec.encoding == "jpeg" else pixels


def _as_stored(pixels: tf.Tensor, spec: PixelSpec) -> tf.Tensor:
    """Encode and decode as `images.pixel_encoding` does: training saw such pixels."""
    stored = tf.io.encode_jpeg(pixels, quality=spec.jpeg_quality, chroma_downsampling=False)
    decoded = tf.io.decode_jpeg(stored, spec.channels, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(decoded, spec.shape)


def _decode_jpeg(data: tf.Tensor, spec: PixelSpec) -> tf.Tensor:
    orientation = read_orientation_in_graph(data)
    size = tf.io.extract_jpeg_shape(data)
    is_sideways = _is_one_of(orientation, SIDEWAYS)
    height_px = tf.where(is_sideways, size[1], size[0])
    width_px = tf.where(is_sideways, size[0], size[1])
    placement = place_in_graph(height_px, width_px, spec)
    index = _scale_index(height_px, width_px, placement)

    def decode_at(scale: int) -> tf.Tensor:
        # The accurate transform is the one of libjpeg's callers other than TensorFlow.
        return tf.io.decode_jpeg(
            data, spec.channels, ratio=FULL_SCALE // scale, dct_method="INTEGER_ACCURATE"
        )

    branches = [lambda scale=scale: decode_at(scale) for scale in _SCALES]
    pixels = tf.switch_case(index, branches)
    scale = tf.gather(tf.constant(_SCALES, tf.float32), index) / FULL_SCALE
    return _fit(pixels, scale, orientation, (height_px, width_px), placement, spec)


def _scale_index(height_px: tf.Tensor, width_px: tf.Tensor, placement: GraphPlacement) -> tf.Tensor:
    """Return the index in _SCALES of the scale that `images.jpeg_scale` chooses."""
    rows = _smallest_index(placement.top_px, placement.height_px, placement.shown_height_px)
    columns = _smallest_index(placement.left_px, placement.width_px, placement.shown_width_px)
    is_tiny = tf.maximum(height_px, width_px) < FULL_SCALE
    return tf.where(is_tiny, len(_SCALES) - 1, tf.maximum(rows, columns))


def _smallest_index(start_px: tf.Tensor, part_px: tf.Tensor, shown_px: tf.Tensor) -> tf.Tensor:
    has_whole_blocks = (start_px % FULL_SCALE == 0) & (part_px % (FULL_SCALE * shown_px) == 0)
    fits = [
        part_px * scale >= FULL_SCALE * min_reduced_px * shown_px
        for scale, min_reduced_px in MIN_REDUCED_PX.items()
    ]
    fits = [has_whole_blocks | fits[0], *fits[1:], tf.constant(True)]
    return tf.argmax(tf.stack(fits), output_type=tf.int32)  # the first that is true


def _decode_still(data: tf.Tensor, spec: PixelSpec) -> tf.Tensor:
    is_png = tf.strings.substr(data, 0, len(_PNG)) == _PNG
    pixels = tf.cond(
        is_png,
        lambda: tf.io.decode_png(data, channels=4),
        lambda: _with_alpha(tf.io.decode_image(data, expand_animations=False)),
    )
    pixels = _convert_channels(_blend(pixels, spec.background), spec.channels)
    height_px, width_px, _ = tf.unstack(tf.shape(pixels))
    placement = place_in_graph(height_px, width_px, spec)
    upright = tf.constant(UPRIGHT)
    return _fit(pixels, tf.constant(1.0), upright, (height_px, width_px), placement, spec)


def _with_alpha(pixels: tf.Tensor) -> tf.Tensor:
    """(h, w, 1, 3 or 4) -> (h, w, 4)."""
    channels = tf.shape(pixels)[2]
    colour = tf.cond(
        channels < 3, lambda: tf.repeat(pixels[..., :1], 3, axis=2), lambda: pixels[..., :3]
    )
    opaque = tf.fill(tf.shape(pixels[..., :1]), tf.constant(255, tf.uint8))
    alpha = tf.cond(channels == 4, lambda: pixels[..., 3:], lambda: opaque)
    return tf.concat([colour, alpha], axis=2)


def _blend(pixels: tf.Tensor, background: int) -> tf.Tensor:
    """(h, w, 4) uint8 -> (h, w, 3) uint8, rounded as `images.blending` does."""
    values = tf.cast(pixels, tf.int32)
    opacity = values[..., 3:]
    blend = values[..., :3] * opacity + background * (255 - opacity) + 127
    return tf.cast(blend // 255, tf.uint8)


def _convert_channels(pixels: tf.Tensor, channels: int) -> tf.Tensor:
    if channels == 3:
        return pixels
    weighted = tf.cast(pixels, tf.int32) * tf.constant(_LUMA)
    total = tf.reduce_sum(weighted, axis=2, keepdims=True) + (1 << (_LUMA_BITS - 1))
    return tf.cast(total // (1 << _LUMA_BITS), tf.uint8)


def _fit(
    pixels: tf.Tensor,
    scale: tf.Tensor,
    orientation: tf.Tensor,
    upright_size: tuple[tf.Tensor, tf.Tensor],
    placement: GraphPlacement,
    spec: PixelSpec,
) -> tf.Tensor:
    """Resize what is shown of a stored picture, turn it upright, and add margins."""
    is_sideways = _is_one_of(orientation, SIDEWAYS)
    pixels = tf.cond(is_sideways, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    parts = [
        (placement.top_px, placement.height_px, placement.shown_height_px, MIRRORED_ROWS),
        (placement.left_px, placement.width_px, placement.shown_width_px, MIRRORED_COLUMNS),
    ]
    weights = []
    for axis, (start_px, length_px, shown_px, mirrored) in enumerate(parts):
        is_mirrored = _is_one_of(orientation, mirrored)
        start_px = tf.where(is_mirrored, upright_size[axis] - start_px - length_px, start_px)
        start, length = (tf.cast(value, tf.float32) * scale for value in (start_px, length_px))
        matrix = axis_weights(start, length, tf.shape(pixels)[axis], shown_px)
        weights.append(tf.where(is_mirrored, matrix[::-1], matrix))
    return pad_in_graph(resize_in_graph(pixels, *weights), spec)


def _is_one_of(orientation: tf.Tensor, orientations: Sequence[int]) -> tf.Tensor:
    return tf.reduce_any(orientation == tf.constant(orientations))
