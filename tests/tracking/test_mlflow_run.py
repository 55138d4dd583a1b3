"""MLflow runs in a real SQLite store, without the tracker process."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND, INTERNAL_ERROR

from example_manifest import example
from halftone import storage
from halftone.card.files import write_card
from halftone.tracking.dataset_inputs import describe_inputs
from halftone.tracking.mlflow_run import MlflowRun
from tracked import MLFLOW_MODEL_FILES, by_epoch, empty_store, files, learn, only_run, publish


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store without runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(empty_store())
    return f"sqlite:///{tmp_path}/mlflow.db"


INPUTS = describe_inputs("faces", example(), "s3://bucket/faces")


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


def test_cards_are_sent_with_the_files_of_the_model(uri: str, tmp_path: Path) -> None:
    learn(tmp_path / "model", epochs=1)
    publish(tmp_path / "model")
    for name in ("model_card", "data_card"):
        write_card(str(tmp_path / "model"), name, f"# {name}\n")
    open_run(uri, tmp_path / "model").send_files()
    sent = files(uri, only_run(uri))
    assert {"data_card.html", "data_card.md", "model_card.html", "model_card.md"} <= set(sent)


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


def test_the_dataset_is_an_input_once_also_after_a_restart(uri: str, tmp_path: Path) -> None:
    counts = {"train": {"cat": 1, "dog": 1}, "validation": {"cat": 1, "dog": 0}}
    data = example().model_copy(update={"counts": counts})
    inputs = describe_inputs("faces", data, "s3://bucket/faces")
    for _ in range(2):
        MlflowRun(uri, "faces", str(tmp_path / "model"), {}, {}, inputs=inputs)
    found = only_run(uri).inputs.dataset_inputs
    assert [
        (each.dataset.name, each.dataset.digest, [(tag.key, tag.value) for tag in each.tags])
        for each in found
    ] == [
        ("faces-train", "f", [("mlflow.data.context", "training")]),
        ("faces-validation", "f", [("mlflow.data.context", "validation")]),
    ]
    dataset = found[0].dataset
    assert (dataset.source_type, dataset.source) == ("s3", '{"uri": "s3://bucket/faces"}')
    assert json.loads(dataset.profile)["rows_by_class"] == {"cat": 1, "dog": 1}
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        for table in ("inputs", "datasets"):
            assert database.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (2,)


def test_two_runs_share_a_dataset(uri: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        MlflowRun(uri, "faces", str(tmp_path / name), {}, {}, inputs=INPUTS)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM inputs").fetchone() == (2,)
        assert database.execute("SELECT COUNT(*) FROM datasets").fetchone() == (1,)


def test_a_server_without_inputs_is_no_failure(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("no such endpoint", error_code=code)

    monkeypatch.setattr(MlflowClient, "log_inputs", refuse)
    code = ENDPOINT_NOT_FOUND
    MlflowRun(uri, "faces", str(tmp_path / "model"), {}, {}, inputs=INPUTS)
    code = INTERNAL_ERROR
    with pytest.raises(MlflowException, match="no such endpoint"):
        MlflowRun(uri, "faces", str(tmp_path / "model"), {}, {}, inputs=INPUTS)
