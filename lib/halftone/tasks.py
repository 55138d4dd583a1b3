"""Numbered pieces of work, spread over Spark's Python workers, with their progress."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import progress

_RESULT = pa.schema([pa.field("number", pa.int64()), pa.field("result", pa.string())])


def run(
    session: SparkSession,
    task: Callable[[int], Any],
    count: int,
    *,
    slices: int,
    what: str,
    total: int,
    unit: str,
) -> list[Any]:
    """Call `task(0)` to `task(count - 1)` in `slices` Spark tasks; return the results in order.

    Args:
        task: is pickled; what it returns must be JSON. Spark may call it more than once for a
            number, when a worker dies.
        what, total, unit: for the progress line, in which the numbers stand for `total` units.
    """

    if not count:
        return []

    def run_slice(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                result = json.dumps(task(number))
                yield pa.RecordBatch.from_arrays([[number], [result]], schema=_RESULT)

    # One number in each of the first partitions, in order: range cuts evenly.
    numbers = session.range(0, count, 1, min(slices, count))
    with progress.reporting(_tasks_done(session, what, total), what, total, unit):
        rows = numbers.mapInArrow(run_slice, "number long, result string").collect()
    return [json.loads(row.result) for row in sorted(rows)]


def _tasks_done(session: SparkSession, what: str, total: int) -> Callable[[], int]:
    group = f"halftone-{what}-{time.monotonic_ns()}"
    session.sparkContext.setJobGroup(group, what)
    tracker = session.sparkContext.statusTracker()

    def done() -> int:
        ended, started = 0, 0
        for job_id in tracker.getJobIdsForGroup(group):
            job = tracker.getJobInfo(job_id)
            for stage_id in job.stageIds if job else ():
                stage = tracker.getStageInfo(stage_id)
                ended += stage.numCompletedTasks if stage else 0
                started += stage.numTasks if stage else 0
        return total * ended // started if started else 0

    return done
