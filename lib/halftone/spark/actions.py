"""Run an action of a DataFrame: name it in Spark's UI, show progress, cancel it, report errors."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Callable, NamedTuple, Optional, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark import InheritableThread, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from halftone.errors import RunError
from halftone.progress import report_progress
from halftone.spark.worker import ERROR_MARK
from halftone.system import job_process
from halftone.system.thread_call import call_in_thread

Result = TypeVar("Result")

_RESUME_HINT = "; finished work is kept, run again to go on"
# Errors of workers that the same command would meet again.
_LASTING_ERROR = re.compile(
    r"(FileNotFound|Permission|NotADirectory|IsADirectory)Error: |OSError: .*symbolic links"
)


class ActionProgress(NamedTuple):
    """The name of an action, and what its progress line shows."""

    label: str  # first word of the progress line and of errors, such as "decode"
    description: str  # in plain words, for Spark's UI
    total: int = 0  # units of work; 0: no progress line
    unit: str = ""
    count_done: Optional[Callable[[], int]] = None  # called regularly, from another thread


def collect_rows(session: SparkSession, frame: DataFrame, progress: ActionProgress) -> list[Row]:
    """Return the rows of a DataFrame, which must be few.

    Raises:
        RunError: a task failed as often as Spark retries; with the worker's error message.
    """
    return run_action(session, frame.collect, progress)


def run_action(
    session: SparkSession, action: Callable[[], Result], progress: ActionProgress
) -> Result:
    """Call `action`, which runs Spark jobs, and translate its errors.

    Raises:
        RunError: as `collect_rows`.
    """
    label, _, total, unit, count_done = progress
    shown = report_progress(count_done or (lambda: 0), label, total, unit) if total else None
    with (
        _named_jobs(session, f"halftone: {progress.description}") as cancel,
        shown or nullcontext(),
    ):
        try:
            # Ctrl-C in a thread that waits for Spark's answer would leave it to its next call.
            return call_in_thread(action, InheritableThread).result()
        except KeyboardInterrupt:
            # The session of a notebook outlives this call, and the jobs would go on in it.
            if job_process.received_signal() is None:
                cancel()
            raise
        except (Py4JJavaError, PySparkException) as error:
            message = parse_worker_error(error)
            hint = "" if _LASTING_ERROR.match(message) else _RESUME_HINT
            raise RunError(f"{progress.label}: {message}{hint}") from error


def _shown(progress: ActionProgress) -> AbstractContextManager[None]:
    label, _, total, unit, count_done = progress
    if not total:
        return nullcontext()
    return report_progress(count_done or (lambda: 0), label, total, unit)


@contextmanager
def _named_jobs(session: SparkSession, description: str) -> Iterator[Callable[[], Any]]:
    """Name the jobs that the body starts; yield a function that cancels them."""
    group = f"halftone-{secrets.token_hex(8)}"
    if is_connect(session):
        session.addTag(group)
        try:
            yield lambda: session.interruptTag(group)
        finally:
            session.removeTag(group)
        return
    context = SparkContext.getOrCreate()
    context.setJobGroup(group, description)
    yield lambda: context.cancelJobGroup(group)


def is_connect(session: SparkSession) -> bool:
    """Return whether this is a session of Spark Connect, which has no JVM in this process."""
    return ".connect." in type(session).__module__


def parse_worker_error(error: Exception) -> str:
    """Extract the message of a worker's error, or of its loss, from an error of Spark."""
    text = str(error.java_exception if isinstance(error, Py4JJavaError) else error)
    if ERROR_MARK in text:
        return text.split(ERROR_MARK, 1)[1].splitlines()[0].strip()
    return text.strip().splitlines()[0].split("Exception: ", 1)[-1]
