"""Run an action of a DataFrame: name it in Spark's UI, show progress, cancel it, report errors."""

from __future__ import annotations

import re
import secrets
from contextlib import AbstractContextManager, nullcontext
from typing import Callable, NamedTuple, Optional, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark import InheritableThread, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from halftone.errors import RunError
from halftone.progress import report_progress
from halftone.spark.connect import is_connect
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
    group = f"halftone-{secrets.token_hex(8)}"
    named = _name_jobs(session, action, group, f"halftone: {progress.description}")
    with _shown(progress):
        try:
            # Ctrl-C in a thread that waits for Spark's answer would leave it to its next call.
            return call_in_thread(named, InheritableThread).result()
        except KeyboardInterrupt:
            # The jobs would go on in the session of a notebook and on a server of Spark Connect.
            # Otherwise the end of this process ends the JVM.
            if is_connect(session) or job_process.received_signal() is None:
                _cancel_jobs(session, group)
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


def _name_jobs(
    session: SparkSession, action: Callable[[], Result], group: str, description: str
) -> Callable[[], Result]:
    """Return the action with a name for its jobs, to be called in another thread."""
    if not is_connect(session):
        SparkContext.getOrCreate().setJobGroup(group, description)  # inherited by the thread
        return action

    def tagged() -> Result:
        session.addTag(group)  # of this thread
        return action()

    return tagged


def _cancel_jobs(session: SparkSession, group: str) -> None:
    if is_connect(session):
        session.interruptTag(group)
    else:
        SparkContext.getOrCreate().cancelJobGroup(group)


def parse_worker_error(error: Exception) -> str:
    """Extract the message of a worker's error, or of its loss, from an error of Spark."""
    text = str(error.java_exception if isinstance(error, Py4JJavaError) else error)
    if ERROR_MARK in text:
        return text.split(ERROR_MARK, 1)[1].splitlines()[0].strip()
    return text.strip().splitlines()[0].split("Exception: ", 1)[-1]
