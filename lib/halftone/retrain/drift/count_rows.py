"""Count the rows of a dataset, and those that are new since an earlier version, with Spark.

Only shards that the earlier version does not have are read.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

from pyspark.sql import DataFrame, SparkSession

from halftone import storage
from halftone.config import PixelSpec
from halftone.dataset import manifest
from halftone.dataset.shard_files import ShardFile
from halftone.retrain.drift import known_rows, row_samples, statistics
from halftone.retrain.drift.row_samples import RowSample
from halftone.retrain.drift.statistics import ImageStatistics
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_frame, expand_rows, map_tables
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 2
_ROWS_PER_TASK = 1 << 18  # of keys and digests, which are compared in memory

# Statistics by shard digest, for all shards of a version.
ShardStatistics = dict[str, ImageStatistics]


class DriftStatistics(NamedTuple):
    by_shard: ShardStatistics
    before: ImageStatistics  # of all rows of the earlier version
    new: ImageStatistics  # of the rows that the earlier version does not have
    new_rows: list[RowSample]  # a sample of these rows


class _ShardCounts(NamedTuple):
    by_shard: dict[int, ImageStatistics]  # by the index of its URL
    new: list[ImageStatistics]  # of new rows, in parts
    new_rows: dict[int, list[int]]  # numbers of some new rows, by the index of the URL


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
    data = manifest.read_manifest(dataset)
    files = manifest.read_shards(dataset, data)
    before = _read_shards(previous_dataset) if previous_dataset else []
    unread = [file for file in files if file.digest not in known_statistics]
    removed = _removed_shards(before, files)
    by_shard = {
        file.digest: known_statistics[file.digest]
        for file in files
        if file.digest in known_statistics
    }
    counts = _ShardCounts({}, [statistics.EMPTY], {})
    urls = [storage.join(dataset, file.path) for file in unread]
    if unread:
        counts = _count_shards(
            session(),
            data.pixels,
            urls,
            [storage.join(str(previous_dataset), file.path) for file in removed],
            sum(file.rows for file in (*unread, *removed)),
        )
        by_shard.update({file.digest: counts.by_shard[n] for n, file in enumerate(unread)})
    new_rows = [RowSample(urls[n], rows) for n, rows in counts.new_rows.items()]
    return DriftStatistics(
        by_shard,
        statistics.sum_statistics(known_statistics[file.digest] for file in before),
        statistics.sum_statistics(counts.new),
        row_samples.limit_samples(new_rows),
    )


def _read_shards(dataset: str) -> list[ShardFile]:
    return manifest.read_shards(dataset, manifest.read_manifest(dataset))


def _removed_shards(before: list[ShardFile], files: list[ShardFile]) -> list[ShardFile]:
    """Return the shards that are no longer there: other shards may hold their rows now."""
    digests = {file.digest for file in files}
    return [file for file in before if file.digest not in digests]


def _count_shards(
    spark: SparkSession, pixels: PixelSpec, urls: list[str], removed: list[str], num_rows: int
) -> _ShardCounts:
    """Count the rows of shards.

    Args:
        pixels: how the dataset stores its images.
        urls: URLs of the shards.
        removed: URLs of the earlier version's shards whose rows are not new.
        num_rows: rows of all these shards.
    """
    num_tasks = min(len(urls), _TASKS_PER_CORE * num_cores(spark))
    shards = [(url, number, known_rows.SHARD_ITSELF) for number, url in enumerate(urls)]
    rows = create_frame(spark, build_table(shards, known_rows.ROWS), num_tasks)
    if removed:
        known = _find_known_rows(spark, urls, removed, num_rows)
        rows = rows.union(known).repartition(num_tasks, known_rows.SHARD)
    count = partial(statistics.count_shards, pixels, row_samples.max_rows_per_shard(len(urls)))
    collected = collect_rows(
        map_tables(rows, count, statistics.COUNTS),
        ActionProgress("drift", "count the rows of new shards"),
    )
    counts = _ShardCounts({}, [], {})
    for row in sorted(collected, key=lambda row: row.shard):
        part = ImageStatistics(**json.loads(row.statistics))
        if row.shard == statistics.NEW_ROWS:
            counts.new.append(part)
        else:
            counts.by_shard[row.shard] = part
            counts.new_rows[row.shard] = list(row.new_rows)
    return counts


def _find_known_rows(
    spark: SparkSession, urls: list[str], removed: list[str], num_rows: int
) -> DataFrame:
    """Return the rows of the shards at `urls` that removed shards have too, as known_rows.ROWS."""
    shards = [*((url, number) for number, url in enumerate(urls))]
    shards += [(url, known_rows.REMOVED) for url in removed]
    num_tasks = _TASKS_PER_CORE * num_cores(spark)
    frame = create_frame(spark, build_table(shards, known_rows.SHARDS), num_tasks)
    identities = expand_rows(frame, known_rows.read_identities, known_rows.IDENTITIES)
    by_key = identities.repartition(-(-num_rows // _ROWS_PER_TASK), known_rows.KEY)
    return map_tables(by_key, known_rows.find_known, known_rows.ROWS)


def as_json(by_shard: ShardStatistics) -> dict[str, Any]:
    return {digest: counts._asdict() for digest, counts in by_shard.items()}


def from_json(raw: dict[str, Any]) -> ShardStatistics:
    return {digest: ImageStatistics(**counts) for digest, counts in raw.items()}
