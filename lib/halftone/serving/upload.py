"""Upload models to MLflow runs, as MLflow models."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.models import Model
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_MODELS

from halftone import model_directory
from halftone.serving.mlflow_folder import MLMODEL, MODEL_VERSION, write_mlflow_model

ARTIFACT_PATH = "model"  # of the model's files in an MLflow run


def upload_model(client: MlflowClient, run_id: str, model: str) -> None:
    """Upload a model directory to an MLflow run, unless the run has this model already.

    MLmodel is uploaded last: a run that has it has the other files too.

    Args:
        model: URL of the model directory.

    Raises:
        InputError: there is no model, or a part of it is missing.
    """
    if model_directory.read_model_info(model).version == _uploaded_version(client, run_id):
        return
    with tempfile.TemporaryDirectory() as temporary:  # clients accept only local files
        folder = Path(temporary, ARTIFACT_PATH)
        mlflow_model = write_mlflow_model(model, folder, run_id, ARTIFACT_PATH)
        mlmodel = (folder / MLMODEL).rename(Path(temporary, MLMODEL))
        client.log_artifacts(run_id, str(folder), ARTIFACT_PATH)
        client.log_artifact(run_id, str(mlmodel), ARTIFACT_PATH)
    _record_logged_model(client, run_id, mlflow_model)


def _uploaded_version(client: MlflowClient, run_id: str) -> str:
    """Return the version of the model in a run; "" if it has none, or one without MLmodel."""
    paths = {file.path for file in client.list_artifacts(run_id, ARTIFACT_PATH)}
    if f"{ARTIFACT_PATH}/{MLMODEL}" not in paths:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run_id, f"{ARTIFACT_PATH}/{MLMODEL}", folder)
        return str((Model.load(path).metadata or {}).get(MODEL_VERSION, ""))


def _record_logged_model(client: MlflowClient, run_id: str, mlflow_model: Model) -> None:
    """Name the model in the tag by which MLflow shows the models of a run."""
    text = client.get_run(run_id).data.tags.get(MLFLOW_LOGGED_MODELS, "[]")
    models: list[dict[str, Any]] = json.loads(text)
    others = [entry for entry in models if entry.get("artifact_path") != ARTIFACT_PATH]
    entries = [*others, mlflow_model.get_tags_dict()]
    client.set_tag(run_id, MLFLOW_LOGGED_MODELS, json.dumps(entries))
