"""Count the rows of a dataset, and those that are new since an earlier version, with Spark.

Only shards that the earlier version does not have are read.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone import storage
from halftone.dataset import manifest, schema
from halftone.dataset.shard_files import ShardFile
from halftone.retrain.drift import statistics
from halftone.retrain.drift.statistics import ImageStatistics
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 2

# Statistics by shard digest, for all shards of a version.
ShardStatistics = dict[str, ImageStatistics]


class DriftStatistics(NamedTuple):
    by_shard: ShardStatistics
    before: ImageStatistics  # of all rows of the earlier version
    new: ImageStatistics  # of the rows that the earlier version does not have


def count_dataset_rows(
    dataset: str,
    previous_dataset: Optional[str],
    known_statistics: ShardStatistics,
    session: Callable[[], SparkSession],
) -> DriftStatistics:
    """Count the rows of `dataset`.

    Args:
        dataset: URL of the dataset.
        previous_dataset: URL of the earlier version; None if there is none, then all rows are new.
        known_statistics: statistics of the earlier version's shards.
        session: returns the SparkSession; called only if there are shards to read.
    """
    files = _read_shards(dataset)
    before = _read_shards(previous_dataset) if previous_dataset else []
    unread = [file for file in files if file.digest not in known_statistics]
    known_digests = (
        _read_removed_digests(previous_dataset, before, {file.digest for file in files})
        if previous_dataset
        else {}
    )
    by_shard = {
        file.digest: known_statistics[file.digest]
        for file in files
        if file.digest in known_statistics
    }
    new = [statistics.EMPTY]
    if unread:
        spark = session()
        urls = [storage.join(dataset, file.path) for file in unread]
        pairs = tasks.run_tasks(
            spark,
            partial(statistics.count_shard, urls, known_digests),
            len(urls),
            num_slices=_TASKS_PER_CORE * num_cores(spark),
            progress=tasks.TaskProgress("drift", sum(file.rows for file in unread), "images"),
        )
        by_shard.update({file.digest: pair[0] for file, pair in zip(unread, pairs)})
        new += [pair[1] for pair in pairs]
    return DriftStatistics(
        by_shard,
        statistics.sum_statistics(known_statistics[file.digest] for file in before),
        statistics.sum_statistics(new),
    )


def _read_shards(dataset: str) -> list[ShardFile]:
    return manifest.read_shards(dataset, manifest.read_manifest(dataset))


def _read_removed_digests(
    previous_dataset: str, previous_files: list[ShardFile], current_digests: set[str]
) -> dict[str, bytes]:
    """Return source digests by key of the rows of removed shards: other shards hold them now."""
    digests: dict[str, bytes] = {}
    for file in previous_files:
        if file.digest not in current_digests:
            rows = storage.read_table(
                storage.join(previous_dataset, file.path), [schema.KEY, "source_digest"]
            )
            digests.update(zip(rows[schema.KEY].to_pylist(), rows["source_digest"].to_pylist()))
    return digests


def as_json(by_shard: ShardStatistics) -> dict[str, Any]:
    return {digest: counts._asdict() for digest, counts in by_shard.items()}


def from_json(raw: dict[str, Any]) -> ShardStatistics:
    return {digest: ImageStatistics(**counts) for digest, counts in raw.items()}
