"""A model at work on shards, as Spark tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession

from halftone import predict, storage, tally, tasks
from halftone.manifest import ShardFile
from halftone.predict import Probabilities, Work
from halftone.session import num_cores
from halftone.tally import Tally

_TASKS_PER_CORE = 4


class Scorer(NamedTuple):
    spark: SparkSession
    dataset: str
    work: Work

    def write(self, shards: Sequence[ShardFile], folder: str) -> Tally:
        """Write predictions of each shard into `folder`, and return what they come to."""
        pairs = [
            (storage.join(self.dataset, shard.path), storage.join(folder, name_of(shard)))
            for shard in shards
        ]
        return tasks.merged(
            self.spark,
            partial(_predict_one, self.work, pairs),
            tally.total,
            len(pairs),
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
            partial(_probabilities_of, self.work, sources),
            len(sources),
            slices=_TASKS_PER_CORE * num_cores(self.spark),
            what=what,
            total=sum(shard.rows for shard in shards),
            unit="images",
        )
        return np.concatenate([ids for ids, _ in parts]), np.concatenate([p for _, p in parts])


def name_of(shard: ShardFile) -> str:
    """The file name of a shard, and of its predictions."""
    return shard.path.rpartition("/")[2]


def _predict_one(work: Work, pairs: list[tuple[str, str]], number: int) -> Tally:
    return predict.predict_shard(work, *pairs[number])


def _probabilities_of(
    work: Work, sources: list[str], number: int
) -> tuple[npt.NDArray[np.int32], Probabilities]:
    return predict.probabilities_of(work, sources[number])
