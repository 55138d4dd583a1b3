"""Numbered pieces of work, spread over Spark's Python workers, with their progress.

Plain RDD tasks: they take numbers and give back small results, so the SQL engine, whose start and
whose import of pandas in each worker cost four seconds, has nothing to do for them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Callable, NamedTuple, Optional, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from halftone.errors import RunError
from halftone.progress import report_progress

Result = TypeVar("Result")


class TaskProgress(NamedTuple):
    """What the progress line of a Spark job shows."""

    label: str
    total: int  # units of work in all tasks together
    unit: str
    count_done: Optional[Callable[[], int]] = None  # default: estimated from the tasks that ended


def run_tasks(
    session: SparkSession,
    task: Callable[[int], Result],
    num_tasks: int,
    *,
    num_slices: int,
    progress: TaskProgress,
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
    if not num_tasks:
        return []
    numbers = session.sparkContext.parallelize(range(num_tasks), min(num_slices, num_tasks))
    with _report_job(session, progress):
        return numbers.map(task).collect()


def run_and_merge(
    session: SparkSession,
    task: Callable[[int], Result],
    merge: Callable[[Iterable[Result]], Result],
    num_tasks: int,
    *,
    num_slices: int,
    progress: TaskProgress,
) -> Result:
    """Do as `run`, for results too large to come to the driver each: workers merge them.

    Args:
        merge: makes one of several, in any order; is pickled.
        count: at least 1.
    """

    def part(own: Iterable[int]) -> Iterator[Result]:
        yield merge(map(task, own))

    numbers = session.sparkContext.parallelize(range(num_tasks), min(num_slices, num_tasks))
    with _report_job(session, progress):
        return numbers.mapPartitions(part).treeReduce(lambda one, other: merge([one, other]))


@contextmanager
def _report_job(session: SparkSession, progress: TaskProgress) -> Iterator[None]:
    """Print the progress of the body's Spark job, and say in our words what fails in it."""
    label, total, unit, count_done = progress
    group = f"halftone-{label}-{time.monotonic_ns()}"
    session.sparkContext.setJobGroup(group, label)
    try:
        with report_progress(
            count_done or _make_units_counter(session, group, total), label, total, unit
        ):
            yield
    except KeyboardInterrupt:
        # A session that is borrowed, as a notebook's, lives on, and the job would go on with it.
        session.sparkContext.cancelJobGroup(group)
        raise
    except Py4JJavaError as error:
        raise RunError(
            f"{label}: {parse_worker_error(str(error.java_exception))}; what is done is kept, run again to go on"
        ) from error


def parse_worker_error(text: str) -> str:
    """Find in Spark's report what the worker said last: its exception, or that it is gone."""
    in_worker = re.search(r"PythonException: (Traceback .*?)\n\n?\s+at ", text, re.DOTALL)
    if in_worker:
        last = in_worker.group(1).strip().splitlines()[-1]
        return re.sub(r"^halftone\.(\w+\.)+\w+Error: ", "", last)  # in our words already
    return text.splitlines()[0].split("Exception: ", 1)[-1]


def _make_units_counter(session: SparkSession, group: str, total: int) -> Callable[[], int]:
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
