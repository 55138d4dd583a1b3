"""Models out of a real store of MLflow's."""

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
    one = Server(tmp_path)
    one.start()
    yield one.uri
    one.stop()


Register = Callable[[str, float], str]


@pytest.fixture
def register(tmp_path: Path, config: Callable[..., Config]) -> Register:
    """Keep a model in a run of its own, as the next version of `faces`; return the run's id."""

    def register_(uri: str, bias: float) -> str:
        client = mlflow_store.connect(uri)
        run = client.create_run(mlflow_store.get_or_create_experiment(client, uri, "tests"))
        folder = saved_model.save(tmp_path / f"model-{bias}", config(), ["a", "b"], bias)
        client.log_artifacts(run.info.run_id, str(folder), "model")
        if not client.search_registered_models():
            client.create_registered_model("faces")
        client.create_model_version("faces", f"{run.info.artifact_uri}/model", run.info.run_id)
        return str(run.info.run_id)

    return register_


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
def test_what_is_of_mlflow(model: str, expected: bool) -> None:
    assert mlflow_model.is_mlflow_uri(model) is expected


def check_all(uri: str, run: str, output: str) -> None:
    """Fetch in every way: version 1 is of `run`, version 2 the champion."""
    MlflowClient(uri).set_registered_model_alias("faces", "champion", "2")
    for model, version in {
        "models:/faces/1": "v0.0",
        "models:/faces@champion": "v1.0",
        f"runs:/{run}/model": "v0.0",
    }.items():
        copy = mlflow_model.fetch_model(model, output, TrackingSettings(uri=uri))
        assert copy == f"{output}/model/{version}"
        assert model_directory.read_model_info(copy).version == version
        names = ["history.json", "model.json", f"network-{version}.keras"]
        assert sorted(os.listdir(copy)) == names


def test_a_version_an_alias_and_a_run(
    register: Register, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [register(uri, 0.0), register(uri, 1.0)]
    check_all(uri, runs[0], str(tmp_path / "scores"))
    assert not Path("mlruns").exists()


@pytest.mark.slow
def test_the_same_of_a_server(
    register: Register, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server)
        runs = [register(server, 0.0), register(server, 1.0)]
    check_all(server, runs[0], str(tmp_path / "scores"))
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_server_that_is_away(tmp_path: Path) -> None:
    uri = f"http://me:pa55@127.0.0.1:{free_port()}"
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model(
            "models:/faces/1", str(tmp_path / "scores"), TrackingSettings(uri=uri)
        )
    said = str(caught.value)
    assert said.startswith(f"models:/faces/1: cannot be had from {uri.replace('pa55', '***')}: ")
    assert said.endswith("; check --model, and tracking.uri or MLFLOW_TRACKING_URI")
    assert "pa55" not in said
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_what_mlflow_does_not_have(register: Register, uri: str, tmp_path: Path) -> None:
    settings, output = TrackingSettings(uri=uri), str(tmp_path / "scores")
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model("models:/faces/1", output, settings)
    assert str(caught.value) == (
        f"models:/faces/1: there is no MLflow at {uri}; check tracking.uri or MLFLOW_TRACKING_URI"
    )
    register(uri, 0.0)
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model("models:/faces/7", output, settings)
    assert str(caught.value) == (
        f"models:/faces/7: cannot be had from {uri}: Model Version (name=faces, version=7) "
        "not found; check --model, and tracking.uri or MLFLOW_TRACKING_URI"
    )


def test_a_model_that_is_not_ours(uri: str, tmp_path: Path) -> None:
    client = mlflow_store.connect(uri)
    run = client.create_run(mlflow_store.get_or_create_experiment(client, uri, "tests"))
    client.log_text(run.info.run_id, "flavors: {}", "model/MLmodel")
    model = f"runs:/{run.info.run_id}/model"
    with pytest.raises(InputError) as caught:
        mlflow_model.fetch_model(model, str(tmp_path / "scores"), TrackingSettings(uri=uri))
    assert str(caught.value) == (
        f"{model}: no model of Halftone's in {uri} (it has no model.json); jobs/train.py keeps one "
        "as runs:/ID/model"
    )
