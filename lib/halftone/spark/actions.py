"""Run an action of a DataFrame: name it in Spark's UI, show progress, cancel it, report errors."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Callable, NamedTuple, Optional, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.errors import IllegalArgumentException, PySparkException
from pyspark.sql import Row, SparkSession

from halftone.errors import InputError, RunError, is_lasting
from halftone.progress import report_progress
from halftone.spark.background import BackgroundAction
from halftone.spark.connect import is_connect
from halftone.spark.frames import Frame
from halftone.spark.local_frame import LocalFrame
from halftone.spark.worker import ERROR_MARK, LASTING_MARK, describe_error
from halftone.system import job_process

Result = TypeVar("Result")

_RESUME_HINT = "; finished work is kept, run again to go on"
# Its first line that is not indented is the error.
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*(\S.*)")


class ActionProgress(NamedTuple):
    """The name of an action, and what its progress line shows."""

    label: str  # first word of the progress line and of errors, such as "decode"
    description: str  # in plain words, for Spark's UI
    total: int = 0  # units of work; 0: no progress line
    unit: str = ""
    count_done: Optional[Callable[[], int]] = None  # called regularly, from another thread


def collect_rows(frame: Frame, progress: ActionProgress) -> list[Row]:
    """Return the rows of a frame, which must be few.

    Raises:
        InputError: a task failed, and would fail again until the user has changed something.
        RunError: a task failed as often as Spark retries; with the worker's error message.
    """
    if not isinstance(frame, LocalFrame):
        return run_action(frame.sparkSession, frame.collect, progress)
    try:
        return frame.collect()
    except Exception as error:
        raise _failed(progress, describe_error(error), is_lasting(error)) from error


def run_action(
    session: SparkSession, action: Callable[[], Result], progress: ActionProgress
) -> Result:
    """Call `action`, which runs Spark jobs, and translate its errors.

    Raises:
        InputError, RunError: as `collect_rows`.
    """
    with _shown(progress):
        # Ctrl-C in a thread that waits for Spark's answer would leave it to its next call.
        running = BackgroundAction(session, action, progress.description)
        try:
            return running.result()
        except KeyboardInterrupt:
            # The jobs would go on in the session of a notebook and on a server of Spark Connect.
            # Otherwise the end of this process ends the JVM.
            if is_connect(session) or job_process.received_signal() is None:
                running.cancel()
            raise
        except (Py4JJavaError, PySparkException) as error:
            raise _failed(progress, parse_worker_error(error), _is_wrong_input(error)) from error


def _failed(progress: ActionProgress, message: str, is_wrong_input: bool) -> Exception:
    text = f"{progress.label}: {message}"
    return InputError(text) if is_wrong_input else RunError(f"{text}{_RESUME_HINT}")


def _shown(progress: ActionProgress) -> AbstractContextManager[None]:
    label, _, total, unit, count_done = progress
    if not total:
        return nullcontext()
    return report_progress(count_done or (lambda: 0), label, total, unit)


def parse_worker_error(error: BaseException) -> str:
    """Return the message of a worker's error, or of its loss, that an error of Spark holds.

    Of an error that is none of Spark's, return class and message.
    """
    if not isinstance(error, (Py4JJavaError, PySparkException)):
        return f"{type(error).__name__}: {error}"
    text = _spark_text(error)
    for mark in (ERROR_MARK, LASTING_MARK):
        if mark in text:
            return text.split(mark, 1)[1].splitlines()[0].strip()
    traceback = _TRACEBACK.search(text)
    if traceback:  # of an error outside our code, such as one of a worker that lacks it
        return traceback[1]
    return text.strip().splitlines()[0].split("Exception: ", 1)[-1]


def _spark_text(error: BaseException) -> str:
    return str(error.java_exception if isinstance(error, Py4JJavaError) else error)


def _is_wrong_input(error: BaseException) -> bool:
    """Return whether a worker has marked this error as lasting, or a setting of Spark is wrong."""
    return isinstance(error, IllegalArgumentException) or LASTING_MARK in _spark_text(error)
