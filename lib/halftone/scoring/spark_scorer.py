"""Runs a model on shards, as Spark tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession

from halftone import storage
from halftone.config import ScoreSettings
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile
from halftone.model_directory import ModelInfo
from halftone.scoring import summary_parts
from halftone.scoring.collect_summary import collect_summary, plan_merges
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.shard_task import SHARDS, score_shard
from halftone.scoring.summary_parts import SUMMARY_PARTS
from halftone.scoring.validation_task import ROW_COUNTS, predict_shard
from halftone.spark import actions, frames
from halftone.spark.actions import ActionProgress
from halftone.spark.session import num_cores
from halftone.storage.written_rows import WrittenRows

_TASKS_PER_CORE = 4


class SparkScorer(NamedTuple):
    spark: SparkSession
    dataset: str  # URL
    predictor: PredictorSettings

    def write_predictions(
        self, data: Manifest, shards: Sequence[ShardFile], targets: Sequence[str]
    ) -> PredictionSummary:
        """Write the predictions of each shard, unless they exist, and return their summary.

        Args:
            data: of the dataset.
            shards: one or more.
            targets: URL of the predictions of each shard.
        """
        score = partial(score_shard, self.predictor, data.pixels, data.fingerprint)
        summaries = frames.map_tables(
            self._shard_frame(shards, targets),
            partial(summary_parts.summarise_rows, score),
            SUMMARY_PARTS,
        )
        num_tasks, num_rows = min(len(shards), self.max_tasks()), _count_rows(shards)
        merge_steps = plan_merges(num_tasks, num_rows, self.predictor)
        progress = _show_progress("score", shards, targets)
        return collect_summary(self.spark, summaries, merge_steps, progress)

    def predict_validation(
        self, data: Manifest, shards: Sequence[ShardFile], targets: Sequence[str]
    ) -> list[tuple[int, int]]:
        """Write VALIDATION_PREDICTIONS of each shard, unless they exist; return ROW_COUNTS."""
        predict = partial(predict_shard, self.predictor, data.pixels)
        counts = frames.map_rows(self._shard_frame(shards, targets), predict, ROW_COUNTS)
        progress = _show_progress("calibrate", shards, targets)
        return [(row[0], row[1]) for row in actions.collect_rows(counts, progress)]

    def max_tasks(self) -> int:
        return _TASKS_PER_CORE * num_cores(self.spark)

    def _shard_frame(self, shards: Sequence[ShardFile], targets: Sequence[str]) -> DataFrame:
        """Return SHARDS, spread evenly over tasks."""
        rows = [
            (number, storage.join(self.dataset, shard.path), target)
            for number, (shard, target) in enumerate(zip(shards, targets))
        ]
        table = frames.build_table(rows, SHARDS)
        return frames.create_frame(self.spark, table, self.max_tasks())


def _show_progress(
    label: str, shards: Sequence[ShardFile], targets: Sequence[str]
) -> ActionProgress:
    written = WrittenRows({target: shard.rows for shard, target in zip(shards, targets)})
    description = f"{label}: predict {len(shards)} shards"
    return ActionProgress(label, description, _count_rows(shards), "images", written.count)


def _count_rows(shards: Sequence[ShardFile]) -> int:
    return sum(shard.rows for shard in shards)


def build_scorer(
    spark: SparkSession,
    dataset: str,
    model_info: ModelInfo,
    model: str,
    settings: ScoreSettings,
) -> SparkScorer:
    """Return a scorer with the model at `model`, a threshold of 0.5 and a temperature of 1."""
    predictor = PredictorSettings(
        network=storage.join(model, model_info.network),
        version=model_info.version,
        labels=tuple(model_info.labels),
        shape=model_info.shape(),
        batch_size=settings.batch_size,
        threads=int(spark.conf.get("spark.task.cpus", "1") or 1),
        views=settings.views,
    )
    return SparkScorer(spark, dataset, predictor)


def shard_file_name(shard: ShardFile) -> str:
    """Return the file name of a shard, which its predictions share."""
    return shard.path.rpartition("/")[2]
