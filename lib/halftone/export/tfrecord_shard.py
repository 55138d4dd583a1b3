"""One shard of a dataset as TFRecord. Runs in Spark's Python workers.

TensorFlow's own writer is faster than framing and checksums in Python (0.7 s against 1.7 s for
45,000 rows of 32×32×3); what it costs is TensorFlow's start, once a worker.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

from halftone import arrow, storage
from halftone.dataset import schema

HEIGHT, WIDTH, CHANNELS = "height", "width", "channels"
# What a tf.train.Example holds of a row, one value each.
FEATURES = {
    schema.IMAGE: "bytes: height x width x channels, raw uint8",
    HEIGHT: "int64",
    WIDTH: "int64",
    CHANNELS: "int64",
    schema.LABEL_ID: "int64: the index in labels",
    schema.LABEL: "bytes: the class's name, UTF-8",
    schema.KEY: "bytes: the source path, UTF-8",
}


class ExportSettings(NamedTuple):
    """What all shards have in common."""

    shape: tuple[int, int, int]  # height, width, channels
    compression: str  # as tf.io.TFRecordOptions has it: GZIP, or nothing


def write_shard(settings: ExportSettings, pairs: Sequence[tuple[str, str]], index: int) -> int:
    """Publish a shard as a TFRecord file; return its number of rows.

    The same shard always gives the same bytes.

    Args:
        pairs: URLs of shards, each with that of its TFRecord file.
        number: of the pair to work on.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf  # here, as only workers need it

    source, target = pairs[index]
    rows = storage.read_table(source, [schema.KEY, schema.LABEL, schema.LABEL_ID, schema.IMAGE])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "shard.tfrecord")
        with tf.io.TFRecordWriter(path, settings.compression) as writer:
            for row in arrow.iter_rows(rows, *rows.column_names):
                writer.write(_serialize_row(settings, *row))
        storage.write_bytes(target, storage.read_bytes(path))
    return int(rows.num_rows)


def _serialize_row(
    settings: ExportSettings, key: str, label: str, label_id: int, image: bytes
) -> bytes:
    from tensorflow import train

    def of_bytes(value: bytes) -> Any:
        return train.Feature(bytes_list=train.BytesList(value=[value]))

    def of_number(value: int) -> Any:
        return train.Feature(int64_list=train.Int64List(value=[value]))

    height, width, channels = settings.shape
    features = {
        schema.IMAGE: of_bytes(image),
        HEIGHT: of_number(height),
        WIDTH: of_number(width),
        CHANNELS: of_number(channels),
        schema.LABEL_ID: of_number(label_id),
        schema.LABEL: of_bytes(label.encode()),
        schema.KEY: of_bytes(key.encode()),
    }
    example = train.Example(features=train.Features(feature=features))
    # A map has no order of its own.
    return bytes(example.SerializeToString(deterministic=True))
