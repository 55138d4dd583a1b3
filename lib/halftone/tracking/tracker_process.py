"""The process that follows a training and sends its progress to MLflow.

    python -m halftone.tracking.tracker_process

halftone.tracking.tracking starts it. It reads two lines of JSON from stdin: the job, and at the end
the status of the training. It writes messages for the user to stdout, as lines of JSON
[whether it is a warning, text].
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
_NICENESS = 5  # the training has priority
# A server that does not answer is retried later, and must not delay the end of a job.
SHORT_TIMEOUTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "10",
    "PGCONNECT_TIMEOUT": "5",
    "GIT_PYTHON_REFRESH": "quiet",
}
# A server that has just answered gets more time for files.
_LONG_TIMEOUTS = {**SHORT_TIMEOUTS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}

# Gets whether a text is a warning, and the text.
PrintLine = Callable[[bool, str], None]


def main() -> None:
    environment = dict(os.environ)
    os.environ.update({**SHORT_TIMEOUTS, **environment})
    os.nice(_NICENESS)
    messages = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # MLflow prints to stdout, which is for messages only

    def print_line(is_warning: bool, text: str) -> None:
        print(json.dumps([is_warning, text]), file=messages, flush=True)

    job = json.loads(sys.stdin.readline())
    _follow_training(job, _TrainingEnd(), print_line, {**_LONG_TIMEOUTS, **environment})


def describe_error(error: Exception) -> str:
    """Return the root cause of an error in one line: MLflow wraps connection errors repeatedly."""
    root: BaseException = error
    while root.__cause__ or root.__context__:
        root = root.__cause__ or root.__context__ or root
    reported = root if isinstance(root, (OSError, sqlite3.Error)) else error
    text = mask_passwords(" ".join(str(reported).split()) or type(reported).__name__)
    return text if len(text) <= _MAX_ERROR_CHARS else text[: _MAX_ERROR_CHARS - 3] + "..."


class _TrainingEnd:
    """The status of the training, once stdin has delivered it or is closed."""

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
        """Return the MLflow status of the training, and its error message."""
        end = json.loads(self._text or '{"status": "KILLED", "message": ""}')
        return end["status"], end["message"]


def _follow_training(
    job: dict[str, Any],
    training_end: _TrainingEnd,
    print_line: PrintLine,
    long_timeouts: dict[str, str],
) -> None:
    run: Optional[MlflowRun] = None
    has_warned = False
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
                print_line(False, f"tracked: {run.description()}")
        except Exception as error:
            # The next try opens the run again and compares with what the server then has.
            run, wait_secs = None, _RETRY_SECS
            is_over = training_end.wait(0)
            if not has_warned:
                print_line(True, _error_message(job, error, is_over))
                has_warned = True
        if is_over:
            return


def _finish_run(run: MlflowRun, status: str, message: str, long_timeouts: dict[str, str]) -> None:
    run.send_outcome(message)
    try:
        if status != "KILLED":  # a stopped job has little time, and will be resumed
            os.environ.update(long_timeouts)
            run.send_files()
    finally:
        run.close(status)


def _open_run(job: dict[str, Any]) -> MlflowRun:
    # Imported here so that the caller reports a missing MLflow.
    from halftone.tracking.mlflow_run import MlflowRun

    return MlflowRun(**job)


def _error_message(job: dict[str, Any], error: Exception, is_over: bool) -> str:
    metrics = "the training's metrics" if is_over else "training continues, its metrics"
    return (
        f"tracking: {mask_passwords(job['uri'])}: {describe_error(error)}; {metrics} are in "
        f"{storage.join(job['output'], HISTORY)}"
    )


if __name__ == "__main__":
    main()
