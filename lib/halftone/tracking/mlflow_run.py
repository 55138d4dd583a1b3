"""A training's run in MLflow, or a study's.

Importing MLflow takes seconds: only the tracker's process does.
"""

from __future__ import annotations

import shlex
import tempfile
import time
from pathlib import Path
from typing import Any, Optional

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from halftone import storage
from halftone.model_directory import CURVES, HISTORY, LOGS, MODEL_INFO, TRACKING
from halftone.tracking import mlflow_store
from halftone.tracking.tracking import SQLITE_PREFIX, mask_passwords

# Of one request, and of one value in servers before 2.8; model.json has the values whole.
_MAX_PARAMS, _MAX_PARAM_CHARS = 100, 500
_MAX_TAG_CHARS = 5000


class MlflowRun:
    """The one run of a training, made where there is none yet, else taken up again.

    Args:
        uri: of the tracking store.
        experiment: its name; made where there is none.
        output: the model directory, which keeps the run's id.
        params, tags: of the run; what differs from an earlier attempt becomes a tag.
        name: None leaves it to MLflow.
        parent: the output of what it is a part of, which keeps the id of that run.
        files: below `output`, to be sent in the end; None: those of a model directory.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        output: str,
        params: dict[str, str],
        tags: dict[str, str],
        name: Optional[str] = None,
        parent: Optional[str] = None,
        files: Optional[list[str]] = None,
    ) -> None:
        self._uri, self._experiment, self._output = uri, experiment, output
        self._requested_name, self._parent, self._file_names = name, parent, files
        self._client = mlflow_store.connect(uri)
        run = self._find_run() or self._create_run()
        self._run_id, self._name = run.info.run_id, run.info.run_name
        self._start_run(run, params, tags)
        self._sent_epochs = {
            metric.step for metric in self._client.get_metric_history(self._run_id, "loss")
        }

    def send_epochs(self) -> None:
        """Send the metrics of every epoch that MLflow does not have."""
        for entry in _read_json(storage.join(self._output, HISTORY)).get("epochs", []):
            if entry["epoch"] not in self._sent_epochs:
                values = {name: entry[name] for name in entry if name != "epoch"}
                self._log_metrics(values, step=entry["epoch"])
                self._sent_epochs.add(entry["epoch"])

    def send_outcome(self, message: str) -> None:
        """Send what the training failed of, or what it came to."""
        for key, value in self._parent_tags().items():
            self._client.set_tag(self._run_id, key, value)
        card = self._read_model_info()
        if message:
            self._client.set_tag(self._run_id, "error", _truncate(message, _MAX_TAG_CHARS))
        elif card:
            self._client.set_tag(self._run_id, "model_version", card["version"])
            counts = {"best_epoch": card["best_epoch"], "restarts": len(card.get("restarts", []))}
            self._log_metrics(counts, step=max(self._sent_epochs))

    def send_files(self) -> None:
        """Send those files of the model directory that there are."""
        with tempfile.TemporaryDirectory() as folder:  # MLflow takes local files only
            for place, name in self._artifact_files().items():
                path = Path(folder, place)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(storage.read_bytes(storage.join(self._output, name)))
            self._client.log_artifacts(self._run_id, folder)

    def close(self, status: str) -> None:
        """Set the status, as MLflow calls it."""
        self._client.set_terminated(self._run_id, status)

    def description(self) -> str:
        """Say which run it is, and how to look at it."""
        look = f"; look with: mlflow ui --backend-store-uri {shlex.quote(self._uri)}"
        return (
            f"run {self._name} ({self._run_id}) in experiment {self._experiment}, "
            f"{mask_passwords(self._uri)}{look * self._uri.startswith(SQLITE_PREFIX)}"
        )

    def _find_run(self) -> Optional[Run]:
        """The run of an earlier attempt, as long as this store still has it."""
        kept = _read_json(storage.join(self._output, TRACKING))
        if kept.get("tracking_uri") != mask_passwords(self._uri):
            return None
        try:
            run = self._client.get_run(kept["run_id"])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _create_run(self) -> Run:
        run = self._client.create_run(
            mlflow_store.get_or_create_experiment(self._client, self._uri, self._experiment),
            run_name=self._requested_name,
        )
        storage.write_json(
            storage.join(self._output, TRACKING),
            {"tracking_uri": mask_passwords(self._uri), "run_id": run.info.run_id},
        )
        return run

    def _start_run(self, run: Run, params: dict[str, str], tags: dict[str, str]) -> None:
        """Set the run going, with its settings; MLflow lets no parameter change."""
        values = {key: _truncate(value, _MAX_PARAM_CHARS) for key, value in params.items()}
        old = run.data.params
        new = [Param(key, values[key]) for key in values if key not in old]  # type: ignore[no-untyped-call]
        changed = [
            f"{key}: {old[key]}, then {value}"
            for key, value in values.items()
            if old.get(key, value) != value
        ]
        more = {"changed": "; ".join(changed)} if changed else {}
        # And who did it, from which commit, on which cluster.
        tagged = resolve_tags({**tags, **self._parent_tags(), **more})
        self._client.log_batch(
            self._run_id,
            tags=[
                RunTag(key, _truncate(value, _MAX_TAG_CHARS))  # type: ignore[no-untyped-call]
                for key, value in tagged.items()
            ],
        )
        for start in range(0, len(new), _MAX_PARAMS):
            self._client.log_batch(self._run_id, params=new[start : start + _MAX_PARAMS])
        if "error" in run.data.tags:
            self._client.delete_tag(self._run_id, "error")
        self._client.update_run(self._run_id, "RUNNING")

    def _parent_tags(self) -> dict[str, str]:
        """None as long as the parent has no run in this store."""
        kept = _read_json(storage.join(self._parent, TRACKING)) if self._parent else {}
        if kept.get("tracking_uri") != mask_passwords(self._uri):
            return {}
        return {MLFLOW_PARENT_RUN_ID: str(kept["run_id"])}

    def _log_metrics(self, values: dict[str, Any], step: int) -> None:
        now_msecs = int(time.time() * 1000)
        self._client.log_batch(
            self._run_id,
            metrics=[
                Metric(name, value, now_msecs, step)  # type: ignore[no-untyped-call]
                for name, value in values.items()
                if type(value) in (int, float)
            ],
        )

    def _artifact_files(self) -> dict[str, str]:
        """Files that there are, each by its place among the run's artifacts."""
        held = storage.list_names(self._output)
        if self._file_names is not None:
            return {name: name for name in self._file_names if name in held}
        logs = storage.list_names(storage.join(self._output, LOGS))
        names = [name for name in (MODEL_INFO, HISTORY, CURVES) if name in held]
        names += [f"{LOGS}/{name}" for name in logs if name.endswith(".log")]
        files = {name: name for name in names}
        if MODEL_INFO in held:
            # A model directory in itself: what scoring reads.
            inside = (MODEL_INFO, HISTORY, self._read_model_info()["network"])
            files.update({f"model/{name}": name for name in inside})
        return files

    def _read_model_info(self) -> dict[str, Any]:
        return _read_json(storage.join(self._output, MODEL_INFO))


def _read_json(url: str) -> dict[str, Any]:
    """Read a JSON object, empty where there is no such file."""
    try:
        return dict(storage.read_json(url))
    except FileNotFoundError:
        return {}


def _truncate(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 3]}..."
