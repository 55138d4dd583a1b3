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
from halftone.config import Config, Tracking, flat
from halftone.dataset.manifest import Manifest
from halftone.errors import StoppedError

SQLITE = "sqlite:///"
# The environment's name for the output of the study that a training is a part of, if it is of one.
PARENT = "HALFTONE_STUDY"
# A server that is there has long answered; a large network may take its time.
_END_SECS = 300.0
# What Spark itself hides in its logs, and a little more.
_SECRET = re.compile(r"secret|password|token|credential|(access|account)[._]?key", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[^\w/.\- :]")
_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/\s]+@")


@contextmanager
def following(config: Config, manifest: Manifest, dataset: str, output: str) -> Iterator[None]:
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
    parent = os.environ.get(PARENT)
    with _tracked(_job(config, {**_settings(config), **rows}, tags, output, parent=parent)):
        yield


@contextmanager
def following_study(
    config: Config, about: Mapping[str, str], output: str, files: Sequence[str]
) -> Iterator[None]:
    """Keep an MLflow run of a study, whose trainings the body does and whose `files` it leaves.

    As `following`. The runs of its trainings are below it where PARENT in their environment is
    `output`.

    Args:
        config: what its trainings have in common.
        about: what the study is, as tags.
    """
    with _tracked(_job(config, _settings(config), about, output, files=files)):
        yield


@contextmanager
def _tracked(job: Optional[dict[str, Any]]) -> Iterator[None]:
    if job is None:
        yield
        return
    with tempfile.TemporaryFile() as noise:  # of MLflow and others; read only if the process fails
        tracker = _Tracker(job, noise)
        try:
            yield
        except BaseException as error:
            tracker.end(*_outcome(error))
            raise
        tracker.end("FINISHED", "")


def _outcome(error: BaseException) -> tuple[str, str]:
    """Return the status that MLflow gives a run that ended so, and what a failure was."""
    if isinstance(error, StoppedError) or not isinstance(error, Exception):
        return "KILLED", ""
    return "FAILED", str(error) or type(error).__name__


def without_password(text: str) -> str:
    """Return `text` with *** for the password in each URL."""
    return _PASSWORD.sub(r"\1:***@", text)


class _Tracker:
    """The process that talks to MLflow, and what it says."""

    def __init__(self, job: dict[str, Any], noise: IO[bytes]) -> None:
        self._uri, self._noise = job["uri"], noise
        self._process = subprocess.Popen(
            [sys.executable, "-m", "halftone.tracking.tracker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            text=True,
            start_new_session=True,  # Ctrl-C is for the training; this one hears how it ends
            env={**os.environ, **_credentials(self._uri)},
        )
        self._relay = threading.Thread(target=_relay, args=[self._process.stdout], daemon=True)
        self._relay.start()
        self._tell(job)

    def end(self, status: str, message: str) -> None:
        """Say how the training ended, and wait until MLflow has it."""
        self._tell({"status": status, "message": message})
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._relay.join(_END_SECS)
        if self._relay.is_alive():
            self._process.kill()
            self._complain(f"not everything was sent within {_END_SECS:.0f} s")
        elif self._process.wait():
            self._noise.seek(0)
            last = self._noise.read().decode(errors="replace").strip().splitlines()[-1:]
            self._complain("".join(last) or f"ended with {self._process.returncode}")

    def _tell(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which is told in the end
            print(json.dumps(what), file=self._process.stdin, flush=True)

    def _complain(self, what: str) -> None:
        said = without_password(f"tracking: {self._uri}: {what}")
        print(said, file=sys.stderr, flush=True)


def _relay(lines: IO[str]) -> None:
    """Print where the user looks, which in a notebook is not where a process of ours prints."""
    for line in lines:
        stream, text = json.loads(line)
        print(text, file=getattr(sys, stream), flush=True)


def _settings(config: Config) -> dict[str, Any]:
    return flat(config.model_dump(mode="json", exclude={"retrain"}))


def _job(
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
    uri, output = store_uri(config.tracking), storage.normalise(output)
    experiment = config.tracking.experiment or config.name
    if uri.startswith("databricks") and not experiment.startswith("/"):
        experiment = f"/Shared/{experiment}"  # there an experiment is a path in the workspace
    return {
        "uri": uri,
        "experiment": experiment,
        "output": output,
        "params": {_NOT_IN_NAMES.sub("_", key): _param(key, params[key]) for key in params},
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


def store_uri(settings: Tracking) -> str:
    default = "databricks" if "DATABRICKS_RUNTIME_VERSION" in os.environ else f"{SQLITE}mlflow.db"
    uri = settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or default
    if uri.startswith(SQLITE):  # good in any working directory, when it is shown
        uri = SQLITE + os.path.abspath(uri[len(SQLITE) :])
    return uri


def _param(key: str, value: Any) -> str:
    if value is not None and _SECRET.search(key):
        return "(hidden)"
    return without_password(value) if isinstance(value, str) else json.dumps(value)


def _credentials(uri: str) -> dict[str, str]:
    """A Databricks notebook's access to its workspace, which only its own process has."""
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ or not uri.startswith("databricks"):
        return {}
    with suppress(Exception):  # then the tracker says what it lacks
        from mlflow.utils.databricks_utils import get_databricks_env_vars

        return dict(get_databricks_env_vars(uri))  # type: ignore[no-untyped-call]
    return {}
