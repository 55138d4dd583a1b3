"""What is new in a dataset since an earlier version of it, counted by Spark's workers.

Only shards that the earlier version has not are read.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone import storage
from halftone.dataset import manifest, schema
from halftone.dataset.manifest import ShardFile
from halftone.retrain.drift import statistics
from halftone.retrain.drift.statistics import ImageStatistics
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 2

# Of every shard of a version, by its digest.
ShardStatistics = dict[str, ImageStatistics]


class DriftStatistics(NamedTuple):
    by_shard: ShardStatistics
    before: ImageStatistics  # of all rows of the earlier version
    new: ImageStatistics  # of the rows that it has not


def count_dataset_rows(
    dataset: str,
    previous_dataset: Optional[str],
    known_statistics: ShardStatistics,
    session: Callable[[], SparkSession],
) -> DriftStatistics:
    """Count the rows of `dataset`.

    Args:
        earlier: the dataset of before; None where there is none, and then all rows are new.
        counted: what is known of its shards.
    """
    files = manifest.read_manifest(dataset).files
    before = manifest.read_manifest(previous_dataset).files if previous_dataset else []
    unread = [file for file in files if file.digest not in known_statistics]
    known = (
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
            partial(statistics.count_shard, urls, known),
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


def _read_removed_digests(
    previous_dataset: str, previous_files: list[ShardFile], current_digests: set[str]
) -> dict[str, bytes]:
    """Digests, by key, of the rows of shards that are gone: they are in others now."""
    found: dict[str, bytes] = {}
    for file in previous_files:
        if file.digest not in current_digests:
            rows = storage.read_table(
                storage.join(previous_dataset, file.path), [schema.KEY, "source_digest"]
            )
            found.update(zip(rows[schema.KEY].to_pylist(), rows["source_digest"].to_pylist()))
    return found


def as_json(by_shard: ShardStatistics) -> dict[str, Any]:
    return {digest: own._asdict() for digest, own in by_shard.items()}


def from_json(raw: dict[str, Any]) -> ShardStatistics:
    return {digest: ImageStatistics(**own) for digest, own in raw.items()}
