"""Run a function of a task number on Spark's Python workers, and show the progress.

These are plain RDD tasks: they take numbers and return small results, so they do not need the SQL
engine, which takes four seconds for its own start and the import of pandas in each worker.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Callable, NamedTuple, Optional, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark import InheritableThread
from pyspark.sql import SparkSession

from halftone.errors import RunError
from halftone.progress import report_progress
from halftone.storage import clients
from halftone.system import job_process
from halftone.system.thread_call import call_in_thread

Result = TypeVar("Result")

_RESUME_HINT = "; finished work is kept, run again to go on"
# Errors of workers that the same command would meet again.
_LASTING_ERROR = re.compile(
    r"(FileNotFound|Permission|NotADirectory|IsADirectory)Error: |OSError: .*symbolic links"
)


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
    """Call `task(0)` to `task(num_tasks - 1)` and return the results in order.

    Args:
        task: a function that can be pickled, as can its results. If a worker dies, Spark may call
            it more than once for a number.
        num_slices: number of Spark tasks, each of which calls `task` for several numbers.

    Raises:
        RunError: a Spark task failed as often as Spark retries; with the worker's error message.
    """
    if not num_tasks:
        return []
    _set_worker_environment(session)
    numbers = session.sparkContext.parallelize(range(num_tasks), min(num_slices, num_tasks))
    return _run_job(session, progress, numbers.map(task).collect)


def run_and_merge(
    session: SparkSession,
    task: Callable[[int], Result],
    merge: Callable[[Iterable[Result]], Result],
    num_tasks: int,
    *,
    num_slices: int,
    progress: TaskProgress,
) -> Result:
    """Like `run_tasks`, but merge the results on the workers: for results too large for the driver.

    Args:
        merge: merges results, in any order; can be pickled.
        num_tasks: at least 1.
    """

    def merge_partition(numbers: Iterable[int]) -> Iterator[Result]:
        yield merge(map(task, numbers))

    _set_worker_environment(session)
    rdd = session.sparkContext.parallelize(range(num_tasks), min(num_slices, num_tasks))

    def run_tree() -> Result:
        return rdd.mapPartitions(merge_partition).treeReduce(
            lambda first, second: merge([first, second])
        )

    return _run_job(session, progress, run_tree)


def _set_worker_environment(session: SparkSession) -> None:
    session.sparkContext.environment.update(clients.client_environment())


def _run_job(session: SparkSession, progress: TaskProgress, job: Callable[[], Result]) -> Result:
    """Run a Spark job, print its progress, and translate its errors to RunError."""
    label, total, unit, count_done = progress
    group = f"halftone-{label}-{time.monotonic_ns()}"
    session.sparkContext.setJobGroup(group, label)
    with report_progress(
        count_done or _make_units_counter(session, group, total), label, total, unit
    ):
        try:
            # Ctrl-C in a thread that waits for the JVM's answer would leave it to its next call.
            return call_in_thread(job, InheritableThread).result()
        except KeyboardInterrupt:
            # The session of a notebook outlives this call, and the job would go on in it.
            if job_process.received_signal() is None:
                session.sparkContext.cancelJobGroup(group)
            raise
        except Py4JJavaError as error:
            message = parse_worker_error(str(error.java_exception))
            hint = "" if _LASTING_ERROR.match(message) else _RESUME_HINT
            raise RunError(f"{label}: {message}{hint}") from error


def parse_worker_error(text: str) -> str:
    """Extract the message of a worker's exception, or of its loss, from Spark's error text."""
    traceback = re.search(r"PythonException: (Traceback .*?)\n\n?\s+at ", text, re.DOTALL)
    if traceback:
        last_line = traceback.group(1).strip().splitlines()[-1]
        # Messages of Halftone's own errors need no class name.
        return re.sub(r"^halftone\.(\w+\.)+\w+Error: ", "", last_line)
    return text.splitlines()[0].split("Exception: ", 1)[-1]


def _make_units_counter(session: SparkSession, group: str, total: int) -> Callable[[], int]:
    tracker = session.sparkContext.statusTracker()

    def count_done() -> int:
        num_completed, num_tasks = 0, 0
        for job_id in tracker.getJobIdsForGroup(group):
            job = tracker.getJobInfo(job_id)
            for stage_id in job.stageIds if job else ():
                stage = tracker.getStageInfo(stage_id)
                num_completed += stage.numCompletedTasks if stage else 0
                num_tasks += stage.numTasks if stage else 0
        return total * num_completed // num_tasks if num_tasks else 0

    return count_done
