"""MLflow keeps a run of every training: its settings, its metrics by epoch, the model's files.

A process of its own (halftone.tracking.tracker_process) reads the history that rank 0 writes, and talks to MLflow.
Not a thread: MLflow takes seconds to import, and when two threads import it and TensorFlow at once,
Python 3.9 to 3.11 can leave each waiting for the other for ever. And not the ranks: they may run
where no tracking server can be reached.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, Optional

import halftone
from halftone import storage
from halftone.config import Config, TrackingSettings, flatten_settings
from halftone.dataset.manifest import Manifest
from halftone.errors import StoppedError

SQLITE_PREFIX = "sqlite:///"
# The environment's name for the output of the study that a training is a part of, if it is of one.
PARENT_VARIABLE = "HALFTONE_STUDY"
# A server that is there has long answered; a large network may take its time.
_FINISH_TIMEOUT_SECS = 300.0
# What Spark itself hides in its logs, and a little more.
_SECRET_NAME = re.compile(
    r"secret|password|token|credential|(access|account)[._]?key", re.IGNORECASE
)
_INVALID_NAME_CHARS = re.compile(r"[^\w/.\- :]")
_URL_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/\s]+@")


@contextmanager
def track_training(config: Config, manifest: Manifest, dataset: str, output: str) -> Iterator[None]:
    """Keep an MLflow run of the training that the body does at `output`.

    A training has one run, whatever its ranks and attempts: the run's id stays in `output`. It ends
    as FINISHED, after StoppedError or an interrupt as KILLED, after another error as FAILED.
    MLflow neither stops a training nor holds it up: what is wrong is said once, on stderr.
    """
    rows = {f"rows.{split}": sum(counts.values()) for split, counts in manifest.counts.items()}
    tags = {
        "dataset": dataset,
        "dataset_version": str(manifest.version),
        "dataset_fingerprint": manifest.fingerprint,
    }
    parent = os.environ.get(PARENT_VARIABLE)
    with _run_tracker(
        _build_job(config, {**_config_params(config), **rows}, tags, output, parent=parent)
    ):
        yield


@contextmanager
def track_study(
    config: Config, study_tags: Mapping[str, str], output: str, files: Sequence[str]
) -> Iterator[None]:
    """Keep an MLflow run of a study, whose trainings the body does and whose `files` it leaves.

    As `following`. The runs of its trainings are below it where PARENT in their environment is
    `output`.

    Args:
        config: what its trainings have in common.
        about: what the study is, as tags.
    """
    with _run_tracker(_build_job(config, _config_params(config), study_tags, output, files=files)):
        yield


@contextmanager
def _run_tracker(job: Optional[dict[str, Any]]) -> Iterator[None]:
    if job is None:
        yield
        return
    with tempfile.TemporaryFile() as noise:  # of MLflow and others; read only if the process fails
        tracker = _TrackerProcess(job, noise)
        try:
            yield
        except BaseException as error:
            tracker.finish(*_run_status(error))
            raise
        tracker.finish("FINISHED", "")


def _run_status(error: BaseException) -> tuple[str, str]:
    """Return the status that MLflow gives a run that ended so, and what a failure was."""
    if isinstance(error, StoppedError) or not isinstance(error, Exception):
        return "KILLED", ""
    return "FAILED", str(error) or type(error).__name__


def mask_passwords(text: str) -> str:
    """Return `text` with *** for the password in each URL."""
    return _URL_PASSWORD.sub(r"\1:***@", text)


class _TrackerProcess:
    """The process that talks to MLflow, and what it says."""

    def __init__(self, job: dict[str, Any], stderr_file: IO[bytes]) -> None:
        self._uri, self._stderr_file = job["uri"], stderr_file
        self._process = subprocess.Popen(
            [sys.executable, "-m", "halftone.tracking.tracker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr_file,
            text=True,
            start_new_session=True,  # Ctrl-C is for the training; this one hears how it ends
            env={**os.environ, **_databricks_credentials(self._uri)},
        )
        self._relay_thread = threading.Thread(
            target=_relay_output, args=[self._process.stdout], daemon=True
        )
        self._relay_thread.start()
        self._send(job)

    def finish(self, status: str, message: str) -> None:
        """Say how the training ended, and wait until MLflow has it."""
        self._send({"status": status, "message": message})
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._relay_thread.join(_FINISH_TIMEOUT_SECS)
        if self._relay_thread.is_alive():
            self._process.kill()
            self._warn(f"not everything was sent within {_FINISH_TIMEOUT_SECS:.0f} s")
        elif self._process.wait():
            self._stderr_file.seek(0)
            last = self._stderr_file.read().decode(errors="replace").strip().splitlines()[-1:]
            self._warn("".join(last) or f"ended with {self._process.returncode}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which is told in the end
            print(json.dumps(message), file=self._process.stdin, flush=True)

    def _warn(self, problem: str) -> None:
        said = mask_passwords(f"tracking: {self._uri}: {problem}")
        print(said, file=sys.stderr, flush=True)


def _relay_output(lines: IO[str]) -> None:
    """Print where the user looks, which in a notebook is not where a process of ours prints."""
    for line in lines:
        stream, text = json.loads(line)
        print(text, file=getattr(sys, stream), flush=True)


def _config_params(config: Config) -> dict[str, Any]:
    return flatten_settings(config.model_dump(mode="json", exclude={"retrain"}))


def _build_job(
    config: Config,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    output: str,
    *,
    parent: Optional[str] = None,
    files: Optional[Sequence[str]] = None,
) -> Optional[dict[str, Any]]:
    """All that the tracker has to know; None where it has nothing to do."""
    if not config.tracking.enabled:
        return None
    uri, output = store_uri(config.tracking), storage.normalise_url(output)
    experiment = config.tracking.experiment or config.name
    if uri.startswith("databricks") and not experiment.startswith("/"):
        experiment = f"/Shared/{experiment}"  # there an experiment is a path in the workspace
    return {
        "uri": uri,
        "experiment": experiment,
        "output": output,
        "params": {
            _INVALID_NAME_CHARS.sub("_", key): _param_text(key, params[key]) for key in params
        },
        "tags": {
            "halftone_version": halftone.__version__,
            "output": output,
            "mlflow.source.name": sys.argv[0],
            **tags,
        },
        "name": config.name if parent or files else None,
        "parent": parent,
        "files": files,
    }


def store_uri(settings: TrackingSettings) -> str:
    default = (
        "databricks" if "DATABRICKS_RUNTIME_VERSION" in os.environ else f"{SQLITE_PREFIX}mlflow.db"
    )
    uri = settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or default
    if uri.startswith(SQLITE_PREFIX):  # good in any working directory, when it is shown
        uri = SQLITE_PREFIX + os.path.abspath(uri[len(SQLITE_PREFIX) :])
    return uri


def _param_text(key: str, value: Any) -> str:
    if value is not None and _SECRET_NAME.search(key):
        return "(hidden)"
    return mask_passwords(value) if isinstance(value, str) else json.dumps(value)


def _databricks_credentials(uri: str) -> dict[str, str]:
    """A Databricks notebook's access to its workspace, which only its own process has."""
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ or not uri.startswith("databricks"):
        return {}
    with suppress(Exception):  # then the tracker says what it lacks
        from mlflow.utils.databricks_utils import get_databricks_env_vars

        return dict(get_databricks_env_vars(uri))  # type: ignore[no-untyped-call]
    return {}
