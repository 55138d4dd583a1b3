"""Models fetched from a real MLflow store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from mlflow import MlflowClient

import saved_model
from halftone import model_directory
from halftone.config import Config, TrackingSettings
from halftone.errors import InputError
from halftone.tracking import mlflow_model, mlflow_store
from tracked import Server, free_port


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    mlflow_server = Server(tmp_path)
    mlflow_server.start()
    yield mlflow_server.uri
    mlflow_server.stop()


Register = Callable[[str, float], str]


@pytest.fixture
def register(tmp_path: Path, config: Callable[..., Config]) -> Register:
    """Store a model in a new run and register it as the next version of `faces`.

    Returns the id of the run.
    """

    def register_model(uri: str, bias: float) -> str:
        client = mlflow_store.connect(uri)
        run = client.create_run(mlflow_store.get_or_create_experiment(client, uri, "tests"))
        folder = saved_model.save(tmp_path / f"model-{bias}", config(), ["a", "b"], bias)
        client.log_artifacts(run.info.run_id, str(folder), "model")
        if not client.search_registered_models():
            client.create_registered_model("faces")
        client.create_model_version("faces", f"{run.info.artifact_uri}/model", run.info.run_id)
        return str(run.info.run_id)

    return register_model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("models:/faces/3", True),
        ("models:/faces@champion", True),
        ("runs:/abc/model", True),
        ("s3://bucket/model", False),
        ("out/models", False),
    ],
)
def test_is_mlflow_uri(model: str, expected: bool) -> None:
    assert mlflow_model.is_mlflow_uri(model) is expected


def check_all(uri: str, run: str, output: str) -> None:
    """Fetch by version, alias and run; `run` has version 1, and version 2 is the champion."""
    MlflowClient(uri).set_registered_model_alias("faces", "champion", "2")
    for model, version in {
        "models:/faces/1": "v0.0",
        "models:/faces@champion": "v1.0",
        f"runs:/{run}/model": "v0.0",
    }.items():
        copy = mlflow_model.fetch_model(model, output, TrackingSettings(uri=uri))
        assert copy == f"{output}/model/{version}"
        assert model_directory.read_model_info(copy).version == version
        names = ["history.json", "mlflow.json", "model.json", f"network-{version}.keras"]
        assert sorted(os.listdir(copy)) == names


def test_fetch_by_version_alias_and_run(
    register: Register, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [register(uri, 0.0), register(uri, 1.0)]
    check_all(uri, runs[0], str(tmp_path / "scores"))
    assert not Path("mlruns").exists()


@pytest.mark.slow
def test_fetch_by_version_alias_and_run_from_a_server(
    register: Register, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server)
        runs = [register(server, 0.0), register(server, 1.0)]
    check_all(server, runs[0], str(tmp_path / "scores"))
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_unreachable_server(tmp_path: Path) -> None:
    uri = f"http://me:pa55@127.0.0.1:{free_port()}"
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model(
            "models:/faces/1", str(tmp_path / "scores"), TrackingSettings(uri=uri)
        )
    message = str(caught.value)
    masked_uri = uri.replace("pa55", "***")
    assert message.startswith(f"models:/faces/1: cannot be fetched from {masked_uri}: ")
    assert message.endswith("; check --model, and tracking.uri or MLFLOW_TRACKING_URI")
    assert "pa55" not in message
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_missing_store_and_missing_version(register: Register, uri: str, tmp_path: Path) -> None:
    settings, output = TrackingSettings(uri=uri), str(tmp_path / "scores")
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model("models:/faces/1", output, settings)
    assert str(caught.value) == (
        f"models:/faces/1: there is no MLflow store at {uri}; check tracking.uri or "
        "MLFLOW_TRACKING_URI"
    )
    register(uri, 0.0)
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model("models:/faces/7", output, settings)
    assert str(caught.value) == (
        f"models:/faces/7: cannot be fetched from {uri}: Model Version (name=faces, version=7) "
        "not found; check --model, and tracking.uri or MLFLOW_TRACKING_URI"
    )


def test_model_of_another_program_is_refused(uri: str, tmp_path: Path) -> None:
    client = mlflow_store.connect(uri)
    run = client.create_run(mlflow_store.get_or_create_experiment(client, uri, "tests"))
    client.log_text(run.info.run_id, "flavors: {}", "model/MLmodel")
    model = f"runs:/{run.info.run_id}/model"
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model(model, str(tmp_path / "scores"), TrackingSettings(uri=uri))
    assert str(caught.value) == (
        f"{model}: not a Halftone model: it has no model.json in {uri}; jobs/train.py stores "
        "models as runs:/ID/model"
    )
