"""Batches of tf.data, taken inside TensorFlow's graph as Keras' `fit` takes them."""

from __future__ import annotations

import tensorflow as tf


@tf.function(reduce_retracing=True)
def _num_rows(batches: tf.data.Dataset) -> tf.Tensor:
    rows = tf.constant(0)
    for batch in batches:
        rows += tf.shape(batch[0])[0]
    return rows


def taken(batches: tf.data.Dataset) -> int:
    """Take all batches of several columns; return the number of their rows."""
    return int(_num_rows(batches))
