"""Numbered pieces of work, spread over Spark's Python workers, with their progress.

Plain RDD tasks: they take numbers and give back small results, so the SQL engine, whose start and
whose import of pandas in each worker cost four seconds, has nothing to do for them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Callable, Optional, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from halftone import progress
from halftone.errors import RunError

Result = TypeVar("Result")


def run(
    session: SparkSession,
    task: Callable[[int], Result],
    count: int,
    *,
    slices: int,
    what: str,
    total: int,
    unit: str,
    done: Optional[Callable[[], int]] = None,
) -> list[Result]:
    """Call `task(0)` to `task(count - 1)` in `slices` Spark tasks; return the results in order.

    Args:
        task: is pickled, and so is what it returns. Spark may call it more than once for a
            number, when a worker dies.
        what, total, unit: for the progress line, in which the numbers stand for `total` units.
        done: how many units are done; without it, it is told by the Spark tasks that have ended.

    Raises:
        RunError: a task failed as often as Spark tries; says what the worker said.
    """
    if not count:
        return []
    numbers = session.sparkContext.parallelize(range(count), min(slices, count))
    with _reporting(session, what, total, unit, done):
        return numbers.map(task).collect()


def merged(
    session: SparkSession,
    task: Callable[[int], Result],
    merge: Callable[[Iterable[Result]], Result],
    count: int,
    *,
    slices: int,
    what: str,
    total: int,
    unit: str,
    done: Optional[Callable[[], int]] = None,
) -> Result:
    """Do as `run`, for results too large to come to the driver each: workers merge them.

    Args:
        merge: makes one of several, in any order; is pickled.
        count: at least 1.
    """

    def part(own: Iterable[int]) -> Iterator[Result]:
        yield merge(map(task, own))

    numbers = session.sparkContext.parallelize(range(count), min(slices, count))
    with _reporting(session, what, total, unit, done):
        return numbers.mapPartitions(part).treeReduce(lambda one, other: merge([one, other]))


@contextmanager
def _reporting(
    session: SparkSession,
    what: str,
    total: int,
    unit: str,
    done: Optional[Callable[[], int]] = None,
) -> Iterator[None]:
    """Print the progress of the body's Spark job, and say in our words what fails in it."""
    group = f"halftone-{what}-{time.monotonic_ns()}"
    session.sparkContext.setJobGroup(group, what)
    try:
        with progress.reporting(done or _tasks_done(session, group, total), what, total, unit):
            yield
    except KeyboardInterrupt:
        # A session that is borrowed, as a notebook's, lives on, and the job would go on with it.
        session.sparkContext.cancelJobGroup(group)
        raise
    except Py4JJavaError as error:
        raise RunError(
            f"{what}: {cause(str(error.java_exception))}; what is done is kept, run again to go on"
        ) from error


def cause(text: str) -> str:
    """Find in Spark's report what the worker said last: its exception, or that it is gone."""
    in_worker = re.search(r"PythonException: (Traceback .*?)\n\n?\s+at ", text, re.DOTALL)
    if in_worker:
        last = in_worker.group(1).strip().splitlines()[-1]
        return re.sub(r"^halftone\.(\w+\.)+\w+Error: ", "", last)  # in our words already
    return text.splitlines()[0].split("Exception: ", 1)[-1]


def _tasks_done(session: SparkSession, group: str, total: int) -> Callable[[], int]:
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
