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
from halftone.tracking.tracking import without_password

if TYPE_CHECKING:
    from halftone.tracking.mlflow_run import MlflowRun

_EVERY_SECS = 2.0
_AWAY_SECS = 10.0
_SHOWN_CHARS = 300
# The little work of this process can wait for the training's.
_NICE = 5
# A server that does not answer is asked again later, and must not hold up the end of a job.
_QUICK = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "10",
    "PGCONNECT_TIMEOUT": "5",
    "GIT_PYTHON_REFRESH": "quiet",
}
# One that has just answered may take its time for a file.
_PATIENT = {**_QUICK, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}

Say = Callable[[str, str], None]


def main() -> None:
    given = dict(os.environ)
    os.environ.update({**_QUICK, **given})
    os.nice(_NICE)
    words = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where MLflow prints

    def say(stream: str, text: str) -> None:
        print(json.dumps([stream, text]), file=words, flush=True)

    job = json.loads(sys.stdin.readline())
    _follow(job, _Ending(), say, {**_PATIENT, **given})


def what_failed(error: Exception) -> str:
    """Say in one line what is behind an error: a refused connection is wrapped several times."""
    root: BaseException = error
    while root.__cause__ or root.__context__:
        root = root.__cause__ or root.__context__ or root
    said = root if isinstance(root, (OSError, sqlite3.Error)) else error
    text = without_password(" ".join(str(said).split()) or type(said).__name__)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


class _Ending:
    """How the training ended, once its job has said so or is gone."""

    def __init__(self) -> None:
        self._text = ""
        self._told = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        self._text = sys.stdin.read()
        self._told.set()

    def wait(self, secs: float) -> bool:
        return self._told.wait(secs)

    def outcome(self) -> tuple[str, str]:
        """Return the status as MLflow calls it, and the message of a failure."""
        told = json.loads(self._text or '{"status": "KILLED", "message": ""}')
        return told["status"], told["message"]


def _follow(job: dict[str, Any], ending: _Ending, say: Say, patient: dict[str, str]) -> None:
    run: Optional[MlflowRun] = None
    is_said = False
    wait_secs = 0.0
    while True:
        is_over = ending.wait(wait_secs)
        wait_secs = _EVERY_SECS
        try:
            if run is None:
                run = _open(job)
            run.send_epochs()
            if is_over:
                _finish(run, *ending.outcome(), patient)
                say("stdout", f"tracked: {run.described()}")
        except Exception as error:
            # Whatever it was, the next try begins with what the server then has.
            run, wait_secs = None, _AWAY_SECS
            is_over = ending.wait(0)
            if not is_said:
                say("stderr", _complaint(job, error, is_over))
                is_said = True
        if is_over:
            return


def _finish(run: MlflowRun, status: str, message: str, patient: dict[str, str]) -> None:
    run.send_outcome(message)
    try:
        if status != "KILLED":  # who is told to stop has little time, and will go on
            os.environ.update(patient)
            run.send_files()
    finally:
        run.close(status)


def _open(job: dict[str, Any]) -> MlflowRun:
    from halftone.tracking.mlflow_run import (
        MlflowRun,  # here, where it is said if MLflow is not installed
    )

    return MlflowRun(**job)


def _complaint(job: dict[str, Any], error: Exception, is_over: bool) -> str:
    metrics = "the training's metrics" if is_over else "training goes on, its metrics"
    return (
        f"tracking: {without_password(job['uri'])}: {what_failed(error)}; {metrics} are in "
        f"{storage.join(job['output'], HISTORY)}"
    )


if __name__ == "__main__":
    main()
