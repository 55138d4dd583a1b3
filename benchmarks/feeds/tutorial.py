"""Petastorm as its tutorial for Parquet files from Spark has it: a TransformSpec, then unrolled.

What follows the reader is what Petastorm's own `make_tf_dataset` does.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import tensorflow as tf

from feeds.rows import BATCH, Pass, Task
from feeds.taken import taken
from halftone import storage
from halftone.dataset import schema

# petastorm 0.12.1 uses much of what pyarrow 10 calls deprecated.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")
from petastorm import TransformSpec, make_batch_reader  # noqa: E402
from petastorm.tf_utils import make_petastorm_dataset  # noqa: E402

_WORKERS = 4  # make_tf_dataset's default


def as_uint8(task: Task) -> Pass:
    return lambda number: _delivered(task, np.uint8)


def as_float32(task: Task) -> Pass:
    return lambda number: _delivered(task, np.float32)


def _delivered(task: Task, kind: type) -> int:
    shape = task.shape()

    def transform(rows: pd.DataFrame) -> pd.DataFrame:
        rows[schema.IMAGE] = rows[schema.IMAGE].map(pixels)
        return rows

    def pixels(content: bytes) -> np.ndarray:
        image = np.frombuffer(content, np.uint8).reshape(shape)
        return image if kind is np.uint8 else image.astype(np.float32) / 255

    spec = TransformSpec(transform, edit_fields=[(schema.IMAGE, kind, shape, False)])
    urls = [storage.as_url(storage.join(task.dataset, shard.path)) for shard in task.shards()]
    with make_batch_reader(
        urls,
        schema_fields=[f"^{schema.IMAGE}$", f"^{schema.LABEL_ID}$"],
        transform_spec=spec,
        num_epochs=1,
        workers_count=_WORKERS,
    ) as reader:
        rows = make_petastorm_dataset(reader).flat_map(tf.data.Dataset.from_tensor_slices)
        return taken(rows.batch(BATCH).prefetch(tf.data.AUTOTUNE))
