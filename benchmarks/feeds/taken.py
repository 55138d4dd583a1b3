"""Batches of tf.data, taken inside TensorFlow's graph as Keras' `fit` takes them."""

from __future__ import annotations

import tensorflow as tf


@tf.function(reduce_retracing=True)
def _num_rows(batches: tf.data.Dataset) -> tf.Tensor:
    rows = tf.constant(0)
    for batch in batches:
        rows += tf.size(batch[1])
    return rows


def taken(batches: tf.data.Dataset) -> int:
    """Take all batches of (pixels, labels, ...); return the number of their rows."""
    return int(_num_rows(batches))
