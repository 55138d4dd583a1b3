"""Read files of predictions. Runs in Spark's Python workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.scoring import predictions
from halftone.scoring.predict import Probabilities
from halftone.spark.frames import build_table, create_frame
from halftone.spark.session import num_cores

FOLD, SHARD, URL = "fold", "shard", "url"
# Files of predictions of the validation split of a fold, one for each of its shards.
PREDICTION_FILES = pa.schema(
    [pa.field(FOLD, pa.int32()), pa.field(SHARD, pa.int32()), pa.field(URL, pa.string())]
)
_TASKS_PER_CORE = 4


class LabelledPredictions(NamedTuple):
    """The rows of a file."""

    keys: pa.ChunkedArray  # string
    label_ids: npt.NDArray[np.int32]
    probabilities: Probabilities  # (N, K)


def create_files_frame(
    spark: SparkSession, urls_by_fold: Sequence[tuple[int, Sequence[str]]]
) -> DataFrame:
    """Return a frame of PREDICTION_FILES, spread over tasks.

    Args:
        urls_by_fold: number of a fold, and the URLs of its files in the order of the shards.
    """
    rows = [(fold, shard, url) for fold, urls in urls_by_fold for shard, url in enumerate(urls)]
    num_tasks = _TASKS_PER_CORE * num_cores(spark)
    return create_frame(spark, build_table(rows, PREDICTION_FILES), num_tasks)


def read_predictions(url: str, labels: Sequence[str]) -> LabelledPredictions:
    """Read the rows of a file of schema.PREDICTIONS.

    Args:
        labels: all classes, in the order of the probabilities.
    """
    columns = [schema.KEY, schema.LABEL, schema.PROBABILITY]
    rows = storage.read_table(url, columns)
    probabilities: Any = predictions.read_probabilities(rows[schema.PROBABILITY], len(labels))
    label_ids = arrow.index_in(rows[schema.LABEL], arrow.string_array(labels))
    return LabelledPredictions(rows[schema.KEY], label_ids, probabilities)
