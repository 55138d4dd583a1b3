"""Models uploaded to runs of a real MLflow store."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

import saved_model
import served
from conftest import small_config
from halftone import images
from halftone.config import PixelSpec, TrackingSettings
from halftone.serving.upload import upload_model
from halftone.tracking import mlflow_model, mlflow_store


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def client(uri: str) -> MlflowClient:
    return mlflow_store.connect(uri)


@pytest.fixture
def run_id(client: MlflowClient, uri: str) -> str:
    experiment = mlflow_store.get_or_create_experiment(client, uri, "tests")
    return str(client.create_run(experiment).info.run_id)


def model(tmp_path: Path, bias: float) -> str:
    return str(saved_model.save(tmp_path / f"model-{bias}", small_config(), served.LABELS, bias))


def uuid(client: MlflowClient, run_id: str) -> str:
    """Return the id of the only model in the tag of a run."""
    (entry,) = json.loads(client.get_run(run_id).data.tags["mlflow.log-model.history"])
    assert entry["run_id"] == run_id
    assert set(entry["flavors"]) == {"python_function", "tensorflow"}
    return str(entry["model_uuid"])


def test_uploaded_model_opens_by_its_alias_and_is_not_uploaded_again(
    client: MlflowClient,
    run_id: str,
    uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = model(tmp_path, 0.0)
    # What was uploaded before a kill, or by an older Halftone, has no MLmodel.
    for name in ("network-v0.0.keras", "history.json", "model.json"):
        client.log_artifact(run_id, f"{folder}/{name}", "model")
    upload_model(client, run_id, folder)
    first = uuid(client, run_id)
    upload_model(client, run_id, folder)
    assert uuid(client, run_id) == first

    client.create_registered_model("faces")
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    client.create_model_version("faces", source, run_id)
    client.set_registered_model_alias("faces", "champion", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    loaded = mlflow.pyfunc.load_model("models:/faces@champion")
    assert loaded.metadata.model_uuid == first
    answer = loaded.predict(pd.DataFrame({"image": [served.jpeg(0)]}))
    image = images.decode(served.jpeg(0), PixelSpec(height_px=16, width_px=16)).pixels
    probability = served.expected(image[None])[0]
    assert answer["probability"][0] == pytest.approx(
        dict(zip(served.LABELS, map(float, probability))), abs=1e-6
    )


def test_another_version_replaces_the_first(
    client: MlflowClient, run_id: str, uri: str, tmp_path: Path
) -> None:
    upload_model(client, run_id, model(tmp_path, 0.0))
    first = uuid(client, run_id)
    upload_model(client, run_id, model(tmp_path, 1.0))
    assert uuid(client, run_id) != first
    settings = TrackingSettings(uri=uri)
    copy = mlflow_model.fetch_model(f"runs:/{run_id}/model", str(tmp_path / "out"), settings)
    assert copy == f"{tmp_path}/out/model/v1.0"
