"""The registered model in a real MLflow store."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from mlflow import MlflowClient

import saved_model
from halftone import model_directory, storage
from halftone.config import Config, TrackingSettings
from halftone.errors import RunError
from halftone.retrain.registry import CHALLENGER, CHAMPION, ModelRegistry
from halftone.tracking import mlflow_model, mlflow_store
from tracked import free_port

Model = Callable[[float], str]


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), "faces")


@pytest.fixture
def model(tmp_path: Path, config: Callable[..., Config]) -> Model:
    return lambda bias: str(
        saved_model.save(tmp_path / f"model-{bias}", config(), ["a", "b"], bias)
    )


def test_register_and_promote_the_first_version(
    registry: ModelRegistry, model: Model, tmp_path: Path
) -> None:
    assert (registry.champion(), registry.versions(), registry.version("1")) == (None, [], None)
    version = registry.register(model(0.0), "nights/000001", "tests")
    assert (version.number, version.aliases) == ("1", ())
    assert version.retrain_run_folder == "nights/000001"
    assert registry.champion() is None
    registry.set_alias(CHAMPION, version)
    champion = registry.champion()
    assert champion is not None
    assert (champion.number, champion.aliases) == ("1", ("champion",))
    copy = registry.fetch(champion, str(tmp_path / "copy"))
    assert model_directory.read_model_info(copy).version == "v0.0"


def test_a_run_registers_one_version(registry: ModelRegistry, model: Model) -> None:
    numbers = [
        registry.register(model(bias), folder, "tests").number
        for bias, folder in ((0.0, "one"), (0.0, "one"), (1.0, "two"), (0.0, "one"))
    ]
    assert numbers == ["1", "1", "2", "1"]
    assert [version.number for version in registry.versions()] == ["1", "2"]


def test_an_alias_belongs_to_one_version(registry: ModelRegistry, model: Model) -> None:
    first, second = (registry.register(model(n), f"run-{n}", "tests") for n in (0.0, 1.0))
    for version in (first, second):
        registry.set_alias(CHALLENGER, version)
        registry.set_alias(CHAMPION, version)
    assert [set(version.aliases) for version in registry.versions()] == [
        set(),
        {CHAMPION, CHALLENGER},
    ]


def test_mlflow_run_of_the_training_is_used(
    registry: ModelRegistry, model: Model, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow_store.connect(uri)
    run = client.create_run(mlflow_store.get_or_create_experiment(client, uri, "tests"))
    folder = model(0.0)
    tracked = {"tracking_uri": uri, "run_id": run.info.run_id}
    storage.write_json(f"{folder}/{model_directory.TRACKING}", tracked)
    assert registry.register(folder, "one", "tests").run_id == run.info.run_id
    # If the store no longer has the run, a new one is created.
    other = model(1.0)
    storage.write_json(f"{other}/{model_directory.TRACKING}", {**tracked, "run_id": "0" * 32})
    version = registry.register(other, "two", "tests")
    assert version.run_id not in (run.info.run_id, "0" * 32)
    copy = registry.fetch(version, str(tmp_path / "copy"))
    assert model_directory.read_model_info(copy).version == "v1.0"


def test_version_is_removed_with_its_files_unless_it_has_an_alias(
    registry: ModelRegistry, model: Model, tmp_path: Path
) -> None:
    first, second = (registry.register(model(n), f"run-{n}", "tests") for n in (0.0, 1.0))
    registry.set_alias(CHAMPION, second)
    for version in (first, second, first):
        registry.remove(version)
    assert [version.number for version in registry.versions()] == ["2"]
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert client.list_artifacts(first.run_id) == []
    assert client.get_run(first.run_id).info.lifecycle_stage == "active"
    assert mlflow_model.fetch_model(
        "models:/faces@champion",
        str(tmp_path / "c"),
        TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"),
    )


def test_unreachable_server_is_a_run_error_without_the_password() -> None:
    uri = f"http://me:pa55@127.0.0.1:{free_port()}"
    with pytest.raises(RunError) as caught:
        ModelRegistry(TrackingSettings(uri=uri), "faces").champion()
    message = str(caught.value)
    assert message.startswith(f"models:/faces in {uri.replace('pa55', '***')}: ")
    assert message.endswith("; run the same command again to go on")
    assert "pa55" not in message
