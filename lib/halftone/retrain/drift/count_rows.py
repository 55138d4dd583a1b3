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
from halftone.retrain.drift.statistics import Traits
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 2

# Of every shard of a version, by its digest.
ByShard = dict[str, Traits]


class Counted(NamedTuple):
    by_shard: ByShard
    before: Traits  # of all rows of the earlier version
    new: Traits  # of the rows that it has not


def count(
    dataset: str,
    earlier: Optional[str],
    counted: ByShard,
    session: Callable[[], SparkSession],
) -> Counted:
    """Count the rows of `dataset`.

    Args:
        earlier: the dataset of before; None where there is none, and then all rows are new.
        counted: what is known of its shards.
    """
    files = manifest.read(dataset).files
    before = manifest.read(earlier).files if earlier else []
    unread = [file for file in files if file.digest not in counted]
    known = _known(earlier, before, {file.digest for file in files}) if earlier else {}
    by_shard = {file.digest: counted[file.digest] for file in files if file.digest in counted}
    new = [statistics.NONE]
    if unread:
        spark = session()
        urls = [storage.join(dataset, file.path) for file in unread]
        pairs = tasks.run(
            spark,
            partial(statistics.of_shard, urls, known),
            len(urls),
            slices=_TASKS_PER_CORE * num_cores(spark),
            what="drift",
            total=sum(file.rows for file in unread),
            unit="images",
        )
        by_shard.update({file.digest: pair[0] for file, pair in zip(unread, pairs)})
        new += [pair[1] for pair in pairs]
    return Counted(
        by_shard, statistics.total(counted[file.digest] for file in before), statistics.total(new)
    )


def _known(earlier: str, before: list[ShardFile], stays: set[str]) -> dict[str, bytes]:
    """Digests, by key, of the rows of shards that are gone: they are in others now."""
    found: dict[str, bytes] = {}
    for file in before:
        if file.digest not in stays:
            rows = storage.read_table(
                storage.join(earlier, file.path), [schema.KEY, "source_digest"]
            )
            found.update(zip(rows[schema.KEY].to_pylist(), rows["source_digest"].to_pylist()))
    return found


def as_json(by_shard: ByShard) -> dict[str, Any]:
    return {digest: own._asdict() for digest, own in by_shard.items()}


def from_json(raw: dict[str, Any]) -> ByShard:
    return {digest: Traits(**own) for digest, own in raw.items()}
