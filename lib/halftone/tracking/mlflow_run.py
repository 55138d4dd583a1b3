"""The MLflow run of a training or of a study.

Only the tracker process imports this module, because importing MLflow takes seconds.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from halftone import storage
from halftone.card.files import CARD_FILES
from halftone.model_directory import CURVES, HISTORY, LOGS, MODEL_INFO, TRACKING
from halftone.serving.upload import upload_model
from halftone.tracking import mlflow_store
from halftone.tracking.mlflow_model import tracking_environment
from halftone.tracking.tracking import SQLITE_PREFIX, mask_passwords

# Limits of MLflow: parameters per request, and characters per value in servers before 2.8.
# model.json has the full values.
_MAX_PARAMS, _MAX_PARAM_CHARS = 100, 500
_MAX_TAG_CHARS = 5000


class MlflowRun:
    """The MLflow run of a training: created if there is none yet, else resumed.

    Args:
        uri: URI of the tracking store.
        experiment: name of the experiment, which is created if it does not exist.
        output: the model directory, where the id of the run is stored.
        params: parameters of the run. Changes since an earlier attempt become a tag.
        tags: tags of the run.
        name: name of the run; None lets MLflow choose one.
        parent: output of the study that the training belongs to, where the id of the parent run is
            stored.
        files: files below `output` to send at the end; None sends those of a model directory.
        inputs: datasets that the run reads, see `dataset_inputs.describe_inputs`.
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
        inputs: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self._uri, self._experiment, self._output = uri, experiment, output
        self._requested_name, self._parent, self._file_names = name, parent, files
        self._client = mlflow_store.connect(uri)
        run = self._find_run() or self._create_run()
        self._run_id, self._name = run.info.run_id, run.info.run_name
        self._start_run(run, params, tags)
        self._log_inputs(run, inputs)
        self._sent_epochs = {
            metric.step for metric in self._client.get_metric_history(self._run_id, "loss")
        }

    def send_epochs(self) -> None:
        """Send the metrics of epochs that MLflow does not have yet."""
        for entry in _read_json(storage.join(self._output, HISTORY)).get("epochs", []):
            if entry["epoch"] not in self._sent_epochs:
                values = {name: entry[name] for name in entry if name != "epoch"}
                self._log_metrics(values, step=entry["epoch"])
                self._sent_epochs.add(entry["epoch"])

    def send_outcome(self, message: str) -> None:
        """Send the error of a failed training, or the result of a finished one.

        Args:
            message: the error; "" if there was none.
        """
        for key, value in self._parent_tags().items():
            self._client.set_tag(self._run_id, key, value)
        info = self._read_model_info()
        if message:
            self._client.set_tag(self._run_id, "error", _truncate(message, _MAX_TAG_CHARS))
        elif info:
            self._client.set_tag(self._run_id, "model_version", info["version"])
            counts = {"best_epoch": info["best_epoch"], "restarts": len(info.get("restarts", []))}
            self._log_metrics(counts, step=max(self._sent_epochs))

    def send_files(self) -> None:
        """Send the files that exist in the model directory, and the model as an MLflow model."""
        with tempfile.TemporaryDirectory() as folder:  # log_artifacts accepts only local files
            for artifact, name in self._artifact_files().items():
                path = Path(folder, artifact)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(storage.read_bytes(storage.join(self._output, name)))
            self._client.log_artifacts(self._run_id, folder)
        if self._file_names is None and self._read_model_info():
            # Some functions of MLflow would create the default store, a folder mlruns.
            with tracking_environment(self._uri):
                upload_model(self._client, self._run_id, self._output)

    def close(self, status: str) -> None:
        """Set the run's final status: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(self._run_id, status)

    def description(self) -> str:
        """Describe the run for users, and how to open a local store."""
        description = (
            f"run {self._name} ({self._run_id}) in experiment {self._experiment}, "
            f"{mask_passwords(self._uri)}"
        )
        if self._uri.startswith(SQLITE_PREFIX):
            uri = shlex.quote(self._uri)
            description += f"; view it with: {_mlflow_program()} ui --backend-store-uri {uri}"
        return description

    def _find_run(self) -> Optional[Run]:
        """Return the run of an earlier attempt if this store still has it."""
        tracked = _read_json(storage.join(self._output, TRACKING))
        if tracked.get("tracking_uri") != mask_passwords(self._uri):
            return None
        try:
            run = self._client.get_run(tracked["run_id"])
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
        """Send parameters and tags, and set the status to RUNNING.

        MLflow does not allow parameters to change, so changes go to the tag `changed`.
        """
        values = {key: _truncate(value, _MAX_PARAM_CHARS) for key, value in params.items()}
        old = run.data.params
        new = [Param(key, values[key]) for key in values if key not in old]  # type: ignore[no-untyped-call]
        changed = [
            f"{key}: {old[key]}, then {value}"
            for key, value in values.items()
            if old.get(key, value) != value
        ]
        changed_tag = {"changed": "; ".join(changed)} if changed else {}
        # resolve_tags adds user, git commit and cluster.
        all_tags = resolve_tags({**tags, **self._parent_tags(), **changed_tag})
        self._client.log_batch(
            self._run_id,
            tags=[
                RunTag(key, _truncate(value, _MAX_TAG_CHARS))  # type: ignore[no-untyped-call]
                for key, value in all_tags.items()
            ],
        )
        for start in range(0, len(new), _MAX_PARAMS):
            self._client.log_batch(self._run_id, params=new[start : start + _MAX_PARAMS])
        if "error" in run.data.tags:
            self._client.delete_tag(self._run_id, "error")
        self._client.update_run(self._run_id, "RUNNING")

    def _log_inputs(self, run: Run, inputs: Sequence[Mapping[str, str]]) -> None:
        """Send the datasets that the run does not have yet."""
        known = (
            {(entry.dataset.name, entry.dataset.digest) for entry in run.inputs.dataset_inputs}
            if run.inputs
            else set()
        )
        new = [
            DatasetInput(
                Dataset(**{key: text for key, text in values.items() if key != "context"}),
                [InputTag(MLFLOW_DATASET_CONTEXT, values["context"])],
            )
            for values in inputs
            if (values["name"], values["digest"]) not in known
        ]
        try:
            if new:
                self._client.log_inputs(self._run_id, new)
        except MlflowException as error:
            if error.error_code != "ENDPOINT_NOT_FOUND":  # servers before 2.4 have no inputs
                raise

    def _parent_tags(self) -> dict[str, str]:
        """Return the tag that names the parent run; {} if the parent has no run in this store."""
        tracked = _read_json(storage.join(self._parent, TRACKING)) if self._parent else {}
        if tracked.get("tracking_uri") != mask_passwords(self._uri):
            return {}
        return {MLFLOW_PARENT_RUN_ID: str(tracked["run_id"])}

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
        """Return existing files by their path among the run's artifacts."""
        existing = storage.list_names(self._output)
        if self._file_names is not None:
            return {name: name for name in self._file_names if name in existing}
        logs = storage.list_names(storage.join(self._output, LOGS))
        names = [name for name in (MODEL_INFO, HISTORY, CURVES, *CARD_FILES) if name in existing]
        names += [f"{LOGS}/{name}" for name in logs if name.endswith(".log")]
        return {name: name for name in names}

    def _read_model_info(self) -> dict[str, Any]:
        return _read_json(storage.join(self._output, MODEL_INFO))


def _read_json(url: str) -> dict[str, Any]:
    """Read a JSON object; return {} if the file does not exist."""
    try:
        return dict(storage.read_json(url))
    except FileNotFoundError:
        return {}


def _truncate(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 3]}..."


def _mlflow_program() -> str:
    """Return how a shell in the working directory calls MLflow, whether or not it is on PATH."""
    program = Path(sys.executable).with_name("mlflow")
    if not program.exists():
        return "mlflow"
    folder = Path.cwd()
    return shlex.quote(str(program.relative_to(folder) if folder in program.parents else program))
