"""Read the EXIF orientation of a JPEG inside TensorFlow's graph, as `images.orientation` does."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from halftone.images.orientation import UPRIGHT

_ORIENTATION_TAG = 0x0112
_EXIF = (ord("E"), ord("x"), ord("i"), ord("f"), 0, 0)
_APP1, _START_OF_SCAN, _MARKER = 0xE1, 0xDA, 0xFF
_INTEL, _MOTOROLA = (ord("I"), ord("I"), 42, 0), (ord("M"), ord("M"), 0, 42)
# EXIF stands at the beginning, and has at most 64 KiB.
_SEARCHED_BYTES = 1 << 18
_MAX_ENTRIES = 1000
_ENTRY_BYTES = 12


def read_orientation_in_graph(data: tf.Tensor) -> tf.Tensor:
    """Return 1..8, int32, of the bytes of a JPEG; 1 if there is none or it cannot be read.

    Args:
        data: scalar string tensor.
    """
    start = tf.strings.substr(data, 0, _SEARCHED_BYTES)
    content = _Bytes(tf.cast(tf.io.decode_raw(start, tf.uint8), tf.int64))
    return _read_tiff(content, _find_exif(content))


class _Bytes(NamedTuple):
    """The bytes of a file. Those after its end are 0."""

    values: tf.Tensor  # (N,) int64, so that a LONG fits

    def at(self, positions: tf.Tensor) -> tf.Tensor:
        last = self.size() - 1  # a JPEG has 3 bytes or more
        is_inside = (positions >= 0) & (positions <= last)
        return tf.where(is_inside, tf.gather(self.values, tf.clip_by_value(positions, 0, last)), 0)

    def size(self) -> tf.Tensor:
        return tf.size(self.values, out_type=tf.int64)

    def number(self, positions: tf.Tensor, num_bytes: int, is_little: tf.Tensor) -> tf.Tensor:
        values = [self.at(positions + offset) for offset in range(num_bytes)]
        big = tf.add_n([value * 256**i for i, value in enumerate(reversed(values))])
        little = tf.add_n([value * 256**i for i, value in enumerate(values)])
        return tf.where(is_little, little, big)

    def equals(self, position: tf.Tensor, expected: tuple[int, ...]) -> tf.Tensor:
        return tf.reduce_all(self.at(position + _range(len(expected))) == list(expected))


def _find_exif(content: _Bytes) -> tf.Tensor:
    """Return where the TIFF header of the first EXIF block begins; -1 if there is no block."""

    def is_segment(position: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        is_marker = content.at(position) == _MARKER
        return is_marker & (content.at(position + 1) != _START_OF_SCAN) & (found < 0)

    def step(position: tf.Tensor, found: tf.Tensor) -> Any:
        marker = content.at(position + 1)
        length = content.number(position + 2, 2, tf.constant(False))
        is_exif = (marker == _APP1) & content.equals(position + 4, _EXIF)
        is_fill = marker == _MARKER
        found = tf.where(is_exif & ~is_fill, position + 4 + len(_EXIF), found)
        return position + tf.where(is_fill, tf.constant(1, tf.int64), 2 + length), found

    positions = (tf.constant(2, tf.int64), tf.constant(-1, tf.int64))
    _, found = tf.while_loop(is_segment, step, positions)
    return found


def _read_tiff(content: _Bytes, start: tf.Tensor) -> tf.Tensor:
    is_little = content.equals(start, _INTEL)
    is_tiff = (start >= 0) & (is_little | content.equals(start, _MOTOROLA))
    directory = start + content.number(start + 4, 4, is_little)
    count = tf.minimum(content.number(directory, 2, is_little), _MAX_ENTRIES)
    entries = directory + 2 + _ENTRY_BYTES * _range(count)
    is_orientation = content.number(entries, 2, is_little) == _ORIENTATION_TAG
    entries = tf.boolean_mask(entries, is_orientation)
    has_entry = is_tiff & (tf.size(entries) > 0)
    entry = tf.reduce_min(tf.concat([entries, content.size()[None]], 0))
    kind = content.number(entry + 2, 2, is_little)
    values = {size: content.number(entry + 8, size, is_little) for size in (1, 2, 4)}
    value = tf.where(kind == 1, values[1], tf.where(kind == 3, values[2], values[4]))
    is_whole = entry + _ENTRY_BYTES <= content.size()
    is_valid = is_whole & (value >= 1) & (value <= 8) & ((kind == 1) | (kind == 3) | (kind == 4))
    return tf.cast(tf.where(has_entry & is_valid, value, UPRIGHT), tf.int32)


def _range(stop: Any) -> tf.Tensor:
    return tf.range(tf.cast(stop, tf.int64), dtype=tf.int64)
