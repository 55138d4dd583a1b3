"""Track every training as an MLflow run: settings, metrics by epoch, and the model's files.

A separate process (halftone.tracking.tracker_process) reads the history that rank 0 writes and
connects to MLflow. A thread is not used because MLflow takes seconds to import, and Python 3.9 to
3.11 can deadlock when two threads import MLflow and TensorFlow at the same time. The ranks do not
connect to MLflow because they may run where no tracking server can be reached.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, Optional
from urllib.parse import quote, unquote

import halftone
from halftone import storage
from halftone.config import Config, TrackingSettings, flatten_settings
from halftone.dataset.manifest import Manifest
from halftone.errors import StoppedError
from halftone.tracking import dataset_inputs

_logger = logging.getLogger(__name__)
SQLITE_PREFIX = "sqlite:///"
_SQLITE_FILE_PREFIX = f"{SQLITE_PREFIX}file:"
# SQLAlchemy's options at the end of a URI. A path may have a question mark too.
_SQLITE_OPTIONS = re.compile(r"\?\w+=[^?/&]*(&\w+=[^?/&]*)*$")
# Environment variable with the output of the study that a training belongs to, if there is one.
PARENT_VARIABLE = "HALFTONE_STUDY"
# Enough to upload a large network; an unreachable server is given up much earlier.
_FINISH_TIMEOUT_SECS = 300.0
# Settings that Spark redacts in its logs, and some more.
_SECRET_NAME = re.compile(
    r"secret|password|token|credential|(access|account)[._]?key", re.IGNORECASE
)
_INVALID_NAME_CHARS = re.compile(r"[^\w/.\- :]")
_URL_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/\s]+@")


@contextmanager
def track_training(config: Config, manifest: Manifest, dataset: str, output: str) -> Iterator[None]:
    """Track the training that the body does at `output` as an MLflow run.

    A training has one run for all its ranks and attempts: the run's id is stored in `output`. The
    run ends as FINISHED, as KILLED after StoppedError or an interrupt, and as FAILED after other
    errors. If MLflow is unreachable, training continues and logs one warning.

    Args:
        config: the whole config.
        manifest: manifest of the dataset.
        dataset: URL of the dataset.
        output: URL of the model directory.
    """
    rows = {f"rows.{split}": sum(counts.values()) for split, counts in manifest.counts.items()}
    tags = {
        "dataset": dataset,
        "dataset_version": str(manifest.version),
        "dataset_fingerprint": manifest.fingerprint,
    }
    parent = os.environ.get(PARENT_VARIABLE)
    params = {**_config_params(config), **rows}
    inputs = dataset_inputs.describe_inputs(config.name, manifest, mask_passwords(dataset))
    with _run_tracker(_build_job(config, params, tags, output, parent=parent, inputs=inputs)):
        yield


@contextmanager
def track_study(
    config: Config, study_tags: Mapping[str, str], output: str, files: Sequence[str]
) -> Iterator[None]:
    """Track the study that the body does as an MLflow run, like `track_training`.

    The runs of its trainings become children of this run if PARENT_VARIABLE is `output` in their
    environment.

    Args:
        config: the config that all trainings of the study share.
        study_tags: tags that describe the study.
        output: URL of the study.
        files: files below `output` to send at the end.
    """
    with _run_tracker(_build_job(config, _config_params(config), study_tags, output, files=files)):
        yield


@contextmanager
def _run_tracker(job: Optional[dict[str, Any]]) -> Iterator[None]:
    if job is None:
        yield
        return
    with tempfile.TemporaryFile() as stderr_file:  # read only if the process fails
        tracker = _TrackerProcess(job, stderr_file)
        try:
            yield
        except BaseException as error:
            tracker.finish(*_run_status(error))
            raise
        tracker.finish("FINISHED", "")


def _run_status(error: BaseException) -> tuple[str, str]:
    """Return the MLflow status for a training that ended with `error`, and the error message."""
    if isinstance(error, StoppedError) or not isinstance(error, Exception):
        return "KILLED", ""
    return "FAILED", str(error) or type(error).__name__


def mask_passwords(text: str) -> str:
    """Return `text` with *** for the password in each URL."""
    return _URL_PASSWORD.sub(r"\1:***@", text)


class _TrackerProcess:
    """The tracker process and the thread that prints its messages."""

    def __init__(self, job: dict[str, Any], stderr_file: IO[bytes]) -> None:
        self._uri, self._stderr_file = job["uri"], stderr_file
        self._process = subprocess.Popen(
            [sys.executable, "-m", "halftone.tracking.tracker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr_file,
            text=True,
            start_new_session=True,  # Ctrl-C must not interrupt it: it sends the final status
            env={**os.environ, **databricks_credentials(self._uri)},
        )
        self._relay_thread = threading.Thread(
            target=_relay_output, args=[self._process.stdout], daemon=True
        )
        self._relay_thread.start()
        self._send(job)

    def finish(self, status: str, message: str) -> None:
        """Send the final status of the training, and wait until MLflow has everything."""
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
            last_line = self._stderr_file.read().decode(errors="replace").strip().splitlines()[-1:]
            self._warn("".join(last_line) or f"exit code {self._process.returncode}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended: `finish` reports that
            print(json.dumps(message), file=self._process.stdin, flush=True)

    def _warn(self, problem: str) -> None:
        _logger.warning("%s", mask_passwords(f"tracking: {self._uri}: {problem}"))


def _relay_output(lines: IO[str]) -> None:
    """Show the tracker's messages here, because notebooks do not show output of subprocesses."""
    for line in lines:
        is_warning, text = json.loads(line)
        if is_warning:
            _logger.warning("%s", text)
        else:
            print(text, flush=True)


def _config_params(config: Config) -> dict[str, Any]:
    return flatten_settings(
        config.model_dump(mode="json", exclude={"card", "retrain", "monitoring"})
    )


def _build_job(
    config: Config,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    output: str,
    *,
    parent: Optional[str] = None,
    files: Optional[Sequence[str]] = None,
    inputs: Sequence[Mapping[str, str]] = (),
) -> Optional[dict[str, Any]]:
    """Return the arguments of MlflowRun, as JSON types; None if tracking is disabled."""
    if not config.tracking.enabled:
        return None
    uri, output = store_uri(config.tracking), storage.normalise_url(output)
    experiment = config.tracking.experiment or config.name
    if uri.startswith("databricks") and not experiment.startswith("/"):
        experiment = f"/Shared/{experiment}"  # Databricks experiments are paths in the workspace
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
        "inputs": list(inputs),
    }


def store_uri(settings: TrackingSettings) -> str:
    """Return the URI of the tracking store: the setting, the environment, or a default."""
    default = (
        "databricks" if "DATABRICKS_RUNTIME_VERSION" in os.environ else f"{SQLITE_PREFIX}mlflow.db"
    )
    uri = settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or default
    if uri.startswith(SQLITE_PREFIX) and not uri.startswith(_SQLITE_FILE_PREFIX):
        location = uri[len(SQLITE_PREFIX) :]
        options = _SQLITE_OPTIONS.search(location)
        path = location[: options.start()] if options else location
        # Absolute, so that users can copy it from messages.
        uri = sqlite_uri(os.path.abspath(path), options[0][1:] if options else "")
    return uri


def sqlite_uri(path: str, options: str = "") -> str:
    """Return the URI of an SQLite file for MLflow and SQLAlchemy.

    A path with a question mark, at which SQLAlchemy would cut it, becomes a URI of SQLite itself.

    Args:
        path: absolute.
        options: SQLAlchemy's options, such as timeout=5.
    """
    if "?" in path:
        path, options = f"file:{quote(path)}", "&".join(filter(None, ["uri=true", options]))
    return f"{SQLITE_PREFIX}{path}{f'?{options}' if options else ''}"


def sqlite_path(uri: str) -> str:
    """Return the path of the SQLite file of a URI, as `store_uri` returns it."""
    path = uri[len(SQLITE_PREFIX) :].partition("?")[0]
    return unquote(path[len("file:") :]) if uri.startswith(_SQLITE_FILE_PREFIX) else path


def _param_text(key: str, value: Any) -> str:
    if value is not None and _SECRET_NAME.search(key):
        return "(hidden)"
    return mask_passwords(value) if isinstance(value, str) else json.dumps(value)


def databricks_credentials(uri: str) -> dict[str, str]:
    """Return credentials of a Databricks notebook, which only its own process has."""
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ or not uri.startswith("databricks"):
        return {}
    with suppress(Exception):  # the tracker process reports missing credentials
        from mlflow.utils.databricks_utils import get_databricks_env_vars

        return dict(get_databricks_env_vars(uri))  # type: ignore[no-untyped-call]
    return {}
