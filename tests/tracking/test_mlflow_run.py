"""MLflow runs in a real SQLite store, without the tracker process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from halftone import storage
from halftone.tracking.mlflow_run import MlflowRun
from tracked import MLFLOW_MODEL_FILES, by_epoch, files, learn, only_run, publish


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs, created in a subprocess because MLflow configures logging for it."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    make = f"from halftone.tracking import mlflow_store; mlflow_store.connect('sqlite:///{path}')"
    subprocess.run([sys.executable, "-c", make], cwd=path.parent, check=True, capture_output=True)
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def open_run(uri: str, output: Path | str, **params: str) -> MlflowRun:
    return MlflowRun(uri, "faces", str(output), params, {"output": str(output)})


def test_model_directory_may_be_a_url(uri: str, tmp_path: Path) -> None:
    learn(tmp_path / "model", epochs=2)
    publish(tmp_path / "model")
    for path in (tmp_path / "model").rglob("*.*"):
        below = path.relative_to(tmp_path).as_posix()
        storage.write_bytes(f"memory://tracked/{below}", path.read_bytes())
    run = open_run(uri, "memory://tracked/model")
    run.send_epochs()
    run.send_outcome("")
    run.send_files()
    run.close("FINISHED")
    assert not (tmp_path / "mlruns").exists()
    run_entity = only_run(uri)
    assert by_epoch(uri, run_entity, "loss") == [(1, 1.0), (2, 0.5)]
    sent = [path for path in files(uri, run_entity) if path.startswith("model")]
    assert [path for path in sent if not path.startswith("model/code/")] == [
        *(f"model/{name}" for name in MLFLOW_MODEL_FILES),
        "model.json",
    ]
    assert "model/code/halftone/serving/pyfunc_model.py" in sent
    (logged,) = json.loads(run_entity.data.tags["mlflow.log-model.history"])
    assert (logged["artifact_path"], logged["run_id"]) == ("model", run_entity.info.run_id)
    assert sorted(logged["flavors"]) == ["python_function", "tensorflow"]
    assert storage.read_json("memory://tracked/model/mlflow.json") == {
        "tracking_uri": uri,
        "run_id": run_entity.info.run_id,
    }


def test_many_settings_are_sent_in_several_requests(uri: str, tmp_path: Path) -> None:
    params = {f"setting.{number}": str(number) for number in range(250)}
    open_run(uri, tmp_path / "model", **params)
    assert only_run(uri).data.params == params


def test_deleted_run_is_replaced_by_a_new_one(uri: str, tmp_path: Path) -> None:
    open_run(uri, tmp_path / "model")
    old = only_run(uri).info.run_id
    MlflowClient(uri).delete_run(old)
    learn(tmp_path / "model", epochs=1)
    open_run(uri, tmp_path / "model").send_epochs()
    new = only_run(uri)
    assert new.info.run_id != old
    assert by_epoch(uri, new, "loss") == [(1, 1.0)]


@pytest.mark.parametrize(
    "tracked",
    [
        {"tracking_uri": "URI", "run_id": "0" * 32},
        {"tracking_uri": "http://elsewhere", "run_id": "0" * 32},
    ],
)
def test_run_that_this_store_does_not_have_is_replaced(
    tracked: dict[str, str], uri: str, tmp_path: Path
) -> None:
    tracked = {name: value.replace("URI", uri) for name, value in tracked.items()}
    storage.write_json(str(tmp_path / "model" / "mlflow.json"), tracked)
    open_run(uri, tmp_path / "model")
    assert storage.read_json(str(tmp_path / "model" / "mlflow.json")) == {
        "tracking_uri": uri,
        "run_id": only_run(uri).info.run_id,
    }


def test_changed_settings_become_a_tag_and_the_first_value_stays(uri: str, tmp_path: Path) -> None:
    open_run(uri, tmp_path / "model", epochs="4", ranks="1")
    open_run(uri, tmp_path / "model", epochs="8", ranks="2", new="x")
    run = only_run(uri)
    assert run.data.params == {"epochs": "4", "ranks": "1", "new": "x"}
    assert run.data.tags["changed"] == "epochs: 4, then 8; ranks: 1, then 2"
