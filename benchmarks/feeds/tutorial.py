"""Petastorm as in its tutorial for Parquet files from Spark: a TransformSpec, then unbatched.

The steps after the reader are those of Petastorm's `make_tf_dataset`.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import tensorflow as tf

from feeds.consume import consume
from feeds.rows import BATCH, Pass, Task
from halftone import storage
from halftone.dataset import schema

# petastorm 0.12.1 uses many deprecated functions of pyarrow 10.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")
from petastorm import TransformSpec, make_batch_reader  # noqa: E402
from petastorm.tf_utils import make_petastorm_dataset  # noqa: E402

_WORKERS = 4  # make_tf_dataset's default


def as_uint8(task: Task) -> Pass:
    return lambda number: _deliver(task, np.uint8)


def as_float32(task: Task) -> Pass:
    return lambda number: _deliver(task, np.float32)


def _deliver(task: Task, dtype: type) -> int:
    shape = task.shape()

    def transform(rows: pd.DataFrame) -> pd.DataFrame:
        rows[schema.IMAGE] = rows[schema.IMAGE].map(decode)
        return rows

    def decode(content: bytes) -> np.ndarray:
        image = np.frombuffer(content, np.uint8).reshape(shape)
        return image if dtype is np.uint8 else image.astype(np.float32) / 255

    spec = TransformSpec(transform, edit_fields=[(schema.IMAGE, dtype, shape, False)])
    scheme = "file://" if storage.is_local(task.dataset) else ""
    urls = [scheme + storage.join(task.dataset, shard.path) for shard in task.shards()]
    with make_batch_reader(
        urls,
        schema_fields=[f"^{schema.IMAGE}$", f"^{schema.LABEL_ID}$"],
        transform_spec=spec,
        num_epochs=1,
        workers_count=_WORKERS,
    ) as reader:
        rows = make_petastorm_dataset(reader).flat_map(tf.data.Dataset.from_tensor_slices)
        return consume(rows.batch(BATCH).prefetch(tf.data.AUTOTUNE))
