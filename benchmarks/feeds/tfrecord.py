"""The same rows as TFRecord files, written and parsed as in TensorFlow's guides.

python -m feeds.tfrecord DATASET FOLDER

writes the train split of DATASET to FOLDER, one uncompressed file per shard.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

from feeds.consume import consume
from feeds.rows import BATCH, SEED, Pass, Task
from halftone import storage
from halftone.dataset import manifest, schema
from halftone.dataset.splits import TRAIN

# The number of rows that Halftone shuffles at a time at 64x64x1: four shards of 16 MiB.
_SHUFFLE_ROWS = 16_384
_FEATURES = {
    schema.IMAGE: tf.io.FixedLenFeature([], tf.string),
    schema.LABEL_ID: tf.io.FixedLenFeature([], tf.int64),
}


def write(dataset: str, folder: str) -> None:
    Path(folder).mkdir()
    data = manifest.read_manifest(dataset)
    for shard in manifest.read_shards(dataset, data, TRAIN):
        table = storage.read_table(storage.join(dataset, shard.path), list(_FEATURES))
        images, label_ids = (table[name].to_pylist() for name in _FEATURES)
        with tf.io.TFRecordWriter(f"{folder}/{Path(shard.path).stem}.tfrecord") as writer:
            for image, label_id in zip(images, label_ids):
                writer.write(_example(image, label_id).SerializeToString())


def _example(image: bytes, label_id: int) -> tf.train.Example:
    feature = {
        schema.IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        schema.LABEL_ID: tf.train.Feature(int64_list=tf.train.Int64List(value=[label_id])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature))


def as_uint8(task: Task) -> Pass:
    epoch = _epoch(task)
    return lambda number: consume(epoch)


def as_float32(task: Task) -> Pass:
    epoch = _epoch(task, as_float=True)
    return lambda number: consume(epoch)


def shuffled(task: Task) -> Pass:
    return lambda number: consume(_epoch(task, shuffle_seed=SEED + number))


def _epoch(task: Task, shuffle_seed: int = 0, as_float: bool = False) -> tf.data.Dataset:
    """Return batches, each parsed in one call, which is several times faster than row by row."""
    shape = task.shape()

    def parse(examples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_example(examples, _FEATURES)
        pixels = tf.io.decode_raw(parsed[schema.IMAGE], tf.uint8)
        pixels = tf.reshape(pixels, (-1, *shape))
        return (
            tf.cast(pixels, tf.float32) / 255 if as_float else pixels,
            parsed[schema.LABEL_ID],
        )

    stems = [Path(shard.path).stem for shard in task.shards()]
    records = tf.data.TFRecordDataset([f"{task.records}/{stem}.tfrecord" for stem in stems])
    if shuffle_seed:
        records = records.shuffle(_SHUFFLE_ROWS, seed=shuffle_seed)
    parsed = records.batch(BATCH).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    return parsed.prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    write(*sys.argv[1:])
