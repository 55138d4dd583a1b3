"""Runs a model on shards, as Spark tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession

from halftone import storage
from halftone.dataset.shard_files import ShardFile
from halftone.model_directory import ModelInfo
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings, Probabilities
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.shard_task import predict_shard, score_shard
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 4


class SparkScorer(NamedTuple):
    spark: SparkSession
    dataset: str  # URL
    predictor: PredictorSettings

    def write_predictions(
        self, shards: Sequence[ShardFile], targets: Sequence[str], fingerprint: str
    ) -> PredictionSummary:
        """Write the predictions of each shard, unless they exist, and return their summary."""
        sources = [storage.join(self.dataset, shard.path) for shard in shards]
        return tasks.run_and_merge(
            self.spark,
            partial(score_shard, self.predictor, fingerprint, list(zip(sources, targets))),
            predictions.merge_summaries,
            len(shards),
            num_slices=_TASKS_PER_CORE * num_cores(self.spark),
            progress=tasks.TaskProgress("score", sum(shard.rows for shard in shards), "images"),
        )

    def predict_shards(
        self, shards: Sequence[ShardFile], description: str
    ) -> tuple[npt.NDArray[np.int32], Probabilities]:
        """Return label ids (rows,) and probabilities (rows, classes) of all shards."""
        sources = [storage.join(self.dataset, shard.path) for shard in shards]
        parts = tasks.run_tasks(
            self.spark,
            partial(predict_shard, self.predictor, sources),
            len(sources),
            num_slices=_TASKS_PER_CORE * num_cores(self.spark),
            progress=tasks.TaskProgress(description, sum(shard.rows for shard in shards), "images"),
        )
        return (
            np.concatenate([label_ids for label_ids, _ in parts]),
            np.concatenate([probabilities for _, probabilities in parts]),
        )


def build_scorer(
    spark: SparkSession, dataset: str, model_info: ModelInfo, model: str, batch_size: int
) -> SparkScorer:
    """Return a scorer with the model at `model`, a threshold of 0.5 and a temperature of 1."""
    predictor = PredictorSettings(
        network=storage.join(model, model_info.network),
        version=model_info.version,
        labels=tuple(model_info.labels),
        shape=model_info.shape(),
        batch_size=batch_size,
        threads=int(spark.conf.get("spark.task.cpus", "1") or 1),
    )
    return SparkScorer(spark, dataset, predictor)


def shard_file_name(shard: ShardFile) -> str:
    """Return the file name of a shard, which its predictions share."""
    return shard.path.rpartition("/")[2]
