"""A model at work on shards, as Spark tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession

from halftone import storage
from halftone.dataset.manifest import ShardFile
from halftone.model_directory import Card
from halftone.scoring import predictions
from halftone.scoring.predict import Probabilities, Work
from halftone.scoring.predictions import Scored
from halftone.scoring.shard_task import probabilities_of, score_shard
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 4


class Scorer(NamedTuple):
    spark: SparkSession
    dataset: str  # URL
    work: Work

    def write(
        self, shards: Sequence[ShardFile], targets: Sequence[str], fingerprint: str
    ) -> Scored:
        """Write the predictions of each shard, unless they are there; return what they come to."""
        sources = [storage.join(self.dataset, shard.path) for shard in shards]
        return tasks.merged(
            self.spark,
            partial(score_shard, self.work, fingerprint, list(zip(sources, targets))),
            predictions.total,
            len(shards),
            slices=_TASKS_PER_CORE * num_cores(self.spark),
            what="score",
            total=sum(shard.rows for shard in shards),
            unit="images",
        )

    def probabilities(
        self, shards: Sequence[ShardFile], what: str
    ) -> tuple[npt.NDArray[np.int32], Probabilities]:
        """Label ids (rows,) and probabilities (rows, classes) of all shards."""
        sources = [storage.join(self.dataset, shard.path) for shard in shards]
        parts = tasks.run(
            self.spark,
            partial(probabilities_of, self.work, sources),
            len(sources),
            slices=_TASKS_PER_CORE * num_cores(self.spark),
            what=what,
            total=sum(shard.rows for shard in shards),
            unit="images",
        )
        return np.concatenate([ids for ids, _ in parts]), np.concatenate([p for _, p in parts])


def of(spark: SparkSession, dataset: str, card: Card, model: str, batch_size: int) -> Scorer:
    """Return a scorer by the model at `model`, of threshold 0.5 and temperature 1."""
    work = Work(
        network=storage.join(model, card.network),
        version=card.version,
        labels=tuple(card.labels),
        shape=card.shape(),
        batch_size=batch_size,
        threads=int(spark.conf.get("spark.task.cpus", "1") or 1),
    )
    return Scorer(spark, dataset, work)


def name_of(shard: ShardFile) -> str:
    """The file name of a shard, and of its predictions."""
    return shard.path.rpartition("/")[2]
