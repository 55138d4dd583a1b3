"""One shard's predictions. Runs in Spark's Python workers; each loads the model once."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import schema, storage

# Keras's own bound, so that a certain mistake has a large loss and not an infinite one.
_LEAST_PROBABILITY = 1e-7

Probabilities = npt.NDArray[np.float32]


class Work(NamedTuple):
    """What all shards have in common."""

    network: str  # URL
    labels: tuple[str, ...]
    shape: tuple[int, int, int]
    batch_size: int
    threads: int  # cores that Spark gives a task


def predict_shard(work: Work, source: str, target: str) -> int:
    """Score the shard at `source` into a Parquet file at `target`; return its rows."""
    rows = storage.read_table(source, [schema.KEY, schema.LABEL, schema.LABEL_ID, schema.IMAGE])
    joined = b"".join(rows[schema.IMAGE].to_pylist())
    images = np.frombuffer(joined, np.uint8).reshape(-1, *work.shape)
    probabilities = _probabilities(work, images)  # (rows, classes)
    label_ids = rows[schema.LABEL_ID].to_numpy()
    of_label = probabilities[np.arange(len(images)), label_ids].astype(np.float64)
    columns = {
        schema.KEY: rows[schema.KEY],
        schema.LABEL: rows[schema.LABEL],
        schema.PREDICTION: [work.labels[best] for best in probabilities.argmax(axis=1)],
        schema.PROBABILITY: list(probabilities),
        schema.LOSS: -np.log(np.maximum(of_label, _LEAST_PROBABILITY)),
    }
    storage.write_table(target, pa.table(columns, schema=schema.PREDICTIONS))
    return len(images)


def _probabilities(work: Work, images: npt.NDArray[np.uint8]) -> Probabilities:
    network = _load(work.network, work.threads)
    outputs: list[Probabilities] = []
    for start in range(0, len(images), work.batch_size):
        batch = images[start : start + work.batch_size]
        # Every batch has the same size: another one would be compiled anew.
        filler = np.zeros((work.batch_size - len(batch), *work.shape), np.uint8)
        outputs.append(network(np.concatenate([batch, filler]))[: len(batch)])
    output = np.concatenate(outputs)
    # One sigmoid is the probability of the second of two classes.
    return np.hstack([1 - output, output]) if output.shape[1] == 1 else output


@lru_cache(maxsize=1)
def _load(url: str, threads: int) -> Callable[[npt.NDArray[np.uint8]], Probabilities]:
    """Load a network from storage; a worker keeps it for all its tasks."""
    import tempfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf  # here, as only workers need it

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.keras")
        with open(path, "wb") as file:
            file.write(storage.read_bytes(url))
        model: Any = tf.keras.models.load_model(path, compile=False)
    forward = tf.function(lambda batch: model(batch, training=False))

    def predict(batch: npt.NDArray[np.uint8]) -> Probabilities:
        return np.asarray(forward(tf.constant(batch)))

    return predict
