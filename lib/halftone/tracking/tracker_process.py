"""The process that follows a training and sends what it does to MLflow.

    python -m halftone.tracking.tracker_process

is what halftone.tracking.tracking starts. On stdin it reads two lines of JSON: the job, and in the end how
the training went. On stdout it writes what the user shall read, as lines of JSON [stream, text].
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Optional

from halftone import storage
from halftone.model_directory import HISTORY
from halftone.tracking.tracking import mask_passwords

if TYPE_CHECKING:
    from halftone.tracking.mlflow_run import MlflowRun

_POLL_SECS = 2.0
_RETRY_SECS = 10.0
_MAX_ERROR_CHARS = 300
# The little work of this process can wait for the training's.
_NICENESS = 5
# A server that does not answer is asked again later, and must not hold up the end of a job.
_SHORT_TIMEOUTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "10",
    "PGCONNECT_TIMEOUT": "5",
    "GIT_PYTHON_REFRESH": "quiet",
}
# One that has just answered may take its time for a file.
_LONG_TIMEOUTS = {**_SHORT_TIMEOUTS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}

PrintLine = Callable[[str, str], None]


def main() -> None:
    given = dict(os.environ)
    os.environ.update({**_SHORT_TIMEOUTS, **given})
    os.nice(_NICENESS)
    words = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where MLflow prints

    def say(stream: str, text: str) -> None:
        print(json.dumps([stream, text]), file=words, flush=True)

    job = json.loads(sys.stdin.readline())
    _follow_training(job, _TrainingEnd(), say, {**_LONG_TIMEOUTS, **given})


def describe_error(error: Exception) -> str:
    """Say in one line what is behind an error: a refused connection is wrapped several times."""
    root: BaseException = error
    while root.__cause__ or root.__context__:
        root = root.__cause__ or root.__context__ or root
    said = root if isinstance(root, (OSError, sqlite3.Error)) else error
    text = mask_passwords(" ".join(str(said).split()) or type(said).__name__)
    return text if len(text) <= _MAX_ERROR_CHARS else text[: _MAX_ERROR_CHARS - 3] + "..."


class _TrainingEnd:
    """How the training ended, once its job has said so or is gone."""

    def __init__(self) -> None:
        self._text = ""
        self._has_ended = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        self._text = sys.stdin.read()
        self._has_ended.set()

    def wait(self, secs: float) -> bool:
        return self._has_ended.wait(secs)

    def status_and_message(self) -> tuple[str, str]:
        """Return the status as MLflow calls it, and the message of a failure."""
        told = json.loads(self._text or '{"status": "KILLED", "message": ""}')
        return told["status"], told["message"]


def _follow_training(
    job: dict[str, Any],
    training_end: _TrainingEnd,
    print_line: PrintLine,
    long_timeouts: dict[str, str],
) -> None:
    run: Optional[MlflowRun] = None
    is_said = False
    wait_secs = 0.0
    while True:
        is_over = training_end.wait(wait_secs)
        wait_secs = _POLL_SECS
        try:
            if run is None:
                run = _open_run(job)
            run.send_epochs()
            if is_over:
                _finish_run(run, *training_end.status_and_message(), long_timeouts)
                print_line("stdout", f"tracked: {run.description()}")
        except Exception as error:
            # Whatever it was, the next try begins with what the server then has.
            run, wait_secs = None, _RETRY_SECS
            is_over = training_end.wait(0)
            if not is_said:
                print_line("stderr", _error_message(job, error, is_over))
                is_said = True
        if is_over:
            return


def _finish_run(run: MlflowRun, status: str, message: str, long_timeouts: dict[str, str]) -> None:
    run.send_outcome(message)
    try:
        if status != "KILLED":  # who is told to stop has little time, and will go on
            os.environ.update(long_timeouts)
            run.send_files()
    finally:
        run.close(status)


def _open_run(job: dict[str, Any]) -> MlflowRun:
    from halftone.tracking.mlflow_run import (
        MlflowRun,  # here, where it is said if MLflow is not installed
    )

    return MlflowRun(**job)


def _error_message(job: dict[str, Any], error: Exception, is_over: bool) -> str:
    metrics = "the training's metrics" if is_over else "training goes on, its metrics"
    return (
        f"tracking: {mask_passwords(job['uri'])}: {describe_error(error)}; {metrics} are in "
        f"{storage.join(job['output'], HISTORY)}"
    )


if __name__ == "__main__":
    main()
