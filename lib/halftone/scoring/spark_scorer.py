"""Runs a model on shards, as Spark tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession

from halftone import storage
from halftone.dataset.manifest import ShardFile
from halftone.model_directory import ModelInfo
from halftone.scoring import summary_parts
from halftone.scoring.collect_summary import collect_summary, plan_merges
from halftone.scoring.predict import PredictorSettings, Probabilities
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.shard_task import SHARDS, predict_shard, score_shard
from halftone.scoring.summary_parts import SUMMARY_PARTS
from halftone.scoring.written_files import WrittenRows
from halftone.spark import frames, tasks
from halftone.spark.actions import ActionProgress
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 4


class SparkScorer(NamedTuple):
    spark: SparkSession
    dataset: str  # URL
    predictor: PredictorSettings

    def write_predictions(
        self, shards: Sequence[ShardFile], targets: Sequence[str], fingerprint: str
    ) -> PredictionSummary:
        """Write the predictions of each shard, unless they exist, and return their summary.

        Args:
            shards: one or more.
            targets: URL of the predictions of each shard.
            fingerprint: of the dataset.
        """
        num_rows = sum(shard.rows for shard in shards)
        num_tasks = min(len(shards), _TASKS_PER_CORE * num_cores(self.spark))
        rows = [
            (number, storage.join(self.dataset, shard.path), target)
            for number, (shard, target) in enumerate(zip(shards, targets))
        ]
        table = frames.build_table(rows, SHARDS)
        score = partial(score_shard, self.predictor, fingerprint)
        summaries = frames.map_tables(
            frames.create_frame(self.spark, table, num_tasks),
            partial(summary_parts.summarise_rows, score),
            SUMMARY_PARTS,
        )
        written = WrittenRows(dict(zip(targets, (shard.rows for shard in shards))))
        description = f"score {len(shards)} shards"
        progress = ActionProgress("score", description, num_rows, "images", written.count)
        merge_steps = plan_merges(num_tasks, num_rows, self.predictor)
        return collect_summary(self.spark, summaries, merge_steps, progress)

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
