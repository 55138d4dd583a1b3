"""The files of an MLflow model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import yaml
from mlflow.store._unity_catalog.registry.rest_store import UcModelRegistryStore

import saved_model
import served
from conftest import small_config
from halftone import model_directory
from halftone.errors import InputError
from halftone.serving.mlflow_folder import write_mlflow_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    return served.write_folder(root, score={"views": "flip", "batch_size": 32})


def read_mlmodel(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "MLmodel").read_text())
    return content


def test_mlmodel(folder: Path) -> None:
    content = read_mlmodel(folder)
    assert content["flavors"]["python_function"] == {
        "code": "code",
        "config": {"views": "flip", "batch_size": 32, "threads": None, "url_prefixes": None},
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "loader_module": "halftone.serving.pyfunc_model",
        "python_version": content["flavors"]["python_function"]["python_version"],
        "streamable": False,
    }
    assert content["metadata"] == {
        "model_version": "v0.0",
        "labels": ["lying", "upright"],
        "dataset_fingerprint": "f00",
        "halftone_version": "0.1.0",
    }
    assert (content["run_id"], content["artifact_path"]) == (served.RUN_ID, "model")
    assert content["mlflow_version"] == "2.22.5"
    assert len(content["model_uuid"]) == 32
    assert content["utc_time_created"].startswith("20")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "MLmodel"]
    assert content["model_size_bytes"] == sum(path.stat().st_size for path in files)
    assert set(content["signature"]) == {"inputs", "outputs", "params"}


def test_model_directory_is_part_of_it(folder: Path) -> None:
    info = model_directory.read_model_info(str(folder))
    assert model_directory.find_missing_files(str(folder), info) == []
    model = folder.parent / "model"
    for name in (info.network, "history.json", "model.json"):
        assert (folder / name).read_bytes() == (model / name).read_bytes()


def test_environment_files_agree(folder: Path) -> None:
    requirements = (folder / "requirements.txt").read_text().split("\n")
    assert all(len(line.split("==")) == 2 for line in requirements)
    assert "tensorflow==2.15.1" in requirements
    conda = yaml.safe_load((folder / "conda.yaml").read_text())
    assert conda["dependencies"][-1] == {"pip": requirements}
    python = yaml.safe_load((folder / "python_env.yaml").read_text())
    assert python["dependencies"] == ["-r requirements.txt"]


def test_unity_catalog_accepts_the_signature(folder: Path, tmp_path: Path) -> None:
    # MLflow's own check before it registers a model; it needs no workspace.
    check = UcModelRegistryStore._validate_model_signature
    check(None, str(folder))
    content = read_mlmodel(folder)
    del content["signature"]
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(content))
    with pytest.raises(mlflow.MlflowException, match="did not contain any signature"):
        check(None, str(tmp_path))


def test_tensorflow_flavour_opens_the_same_file(folder: Path) -> None:
    network = mlflow.tensorflow.load_model(str(folder))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), np.uint8)
    np.testing.assert_allclose(network(pixels), served.expected(pixels), atol=1e-6)
    assert len(list(folder.rglob("*.keras"))) == 1


def test_cards_are_copied_and_unknown_layers_cost_the_tensorflow_flavour(tmp_path: Path) -> None:
    model = saved_model.save(tmp_path / "model", small_config(), ["a", "b"])
    (model / "model_card.md").write_text("# A model")
    with zipfile.ZipFile(model / "network-v0.0.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"layers": [{"class_name": "LayerScale"}]}))
    folder = tmp_path / "mlflow"
    write_mlflow_model(str(model), folder, served.RUN_ID, "model")
    assert (folder / "model_card.md").read_text() == "# A model"
    assert not (folder / "data_card.md").exists()
    assert list(read_mlmodel(folder)["flavors"]) == ["python_function"]


def test_missing_network_is_an_error(tmp_path: Path) -> None:
    model = saved_model.save(tmp_path / "model", small_config(), ["a", "b"])
    (model / "network-v0.0.keras").unlink()
    with pytest.raises(InputError, match=r"network-v0\.0\.keras is missing"):
        write_mlflow_model(str(model), tmp_path / "mlflow", served.RUN_ID, "model")
