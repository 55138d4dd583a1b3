"""Tracking in a real MLflow store: what is sent, and that MLflow never disturbs a training."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from example_manifest import example
from halftone.config import Config, config_from_mapping
from halftone.errors import RunError, StoppedError
from halftone.tracking import tracking
from tracked import (
    MLFLOW_MODEL_FILES,
    Server,
    by_epoch,
    files,
    learn,
    only_run,
    publish,
    wait_for,
)


@pytest.fixture(autouse=True)
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model directory; the working directory is beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "model"


def faces_config(**settings: Any) -> Config:
    return config_from_mapping({"name": "faces", **settings}, source="test")


def track(output: Path, **settings: Any) -> Any:
    return tracking.track_training(faces_config(**settings), example(), "/data", str(output))


def fail(output: Path, epochs: int, error: BaseException, **settings: Any) -> None:
    """Track a training that ends with an error after `epochs` epochs."""
    with track(output, **settings):
        learn(output, epochs)
        raise error


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    mlflow_server = Server(tmp_path)
    mlflow_server.start()
    yield mlflow_server
    mlflow_server.stop()


@pytest.mark.slow
def test_training_has_one_run_for_all_its_attempts(
    output: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    before = dict(os.environ)

    with pytest.raises(KeyboardInterrupt):
        fail(output, 1, KeyboardInterrupt())
    killed = only_run(uri)
    assert (killed.info.status, by_epoch(uri, killed, "loss")) == ("KILLED", [(1, 1.0)])
    assert files(uri, killed) == []

    with pytest.raises(RunError):
        fail(output, 2, RunError("the disk is full"), train={"epochs": 20})
    failed = only_run(uri)
    assert failed.info.run_id == killed.info.run_id
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", "the disk is full")
    assert failed.data.tags["changed"] == "train.epochs: 10, then 20"
    assert files(uri, failed) == ["history.json"]

    with track(output, train={"epochs": 20}):
        wait_for(lambda: only_run(uri).info.status == "RUNNING")
        learn(output, epochs=3)
        publish(output, restarts=[{"epoch": 1, "message": "rank 1 was killed"}] * 2)
    run = only_run(uri)
    assert (run.info.status, run.info.run_id) == ("FINISHED", killed.info.run_id)
    assert by_epoch(uri, run, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert by_epoch(uri, run, "val_accuracy") == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert set(run.data.metrics) == {"loss", "val_accuracy", "best_epoch", "restarts"}
    assert (run.data.metrics["best_epoch"], run.data.metrics["restarts"]) == (2, 2)
    assert "error" not in run.data.tags
    assert run.data.tags["model_version"] == "abc"
    assert [path for path in files(uri, run) if not path.startswith("model/code/")] == [
        "curves.png",
        "history.json",
        "logs/rank-0.log",
        *(f"model/{name}" for name in MLFLOW_MODEL_FILES),
        "model.json",
    ]
    assert MlflowClient(uri).get_experiment(run.info.experiment_id).artifact_location == (
        f"file://{tmp_path}/mlartifacts"
    )

    stdout, stderr = capfd.readouterr()
    assert stderr == ""
    line = (
        f"tracked: run {run.info.run_name} ({run.info.run_id}) in experiment faces, {uri}; "
        f"view it with: {Path(sys.executable).parent}/mlflow ui --backend-store-uri {uri}\n"
    )
    assert stdout == 3 * line
    assert dict(os.environ) == before


BLOCKING_MLFLOW = """
import pathlib, time
deadline = time.monotonic() + 60
while not pathlib.Path("begun").exists():
    if time.monotonic() > deadline:
        raise ImportError("the training has not begun")
    time.sleep(0.01)
raise ImportError("the training has begun")
"""


def test_training_does_not_wait_for_mlflow(
    output: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the tracker process, importing MLflow blocks until the training has begun."""
    (tmp_path / "mlflow.py").write_text(BLOCKING_MLFLOW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    with track(output):
        (tmp_path / "begun").touch()
        learn(output, epochs=1)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert capfd.readouterr().err.startswith(f"tracking: {uri}: the training has begun; ")


@pytest.mark.slow
def test_study_is_the_parent_of_its_trainings_in_all_calls(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    study = tmp_path / "study"

    def call(epochs: int) -> None:
        tags = {"stages": "search, final"}
        with tracking.track_study(faces_config(name="stripes"), tags, str(study), ["table.md"]):
            wait_for((study / "mlflow.json").exists)
            with monkeypatch.context() as patched:
                patched.setenv(tracking.PARENT_VARIABLE, str(study))
                with track(output, name="one", tracking={"experiment": "stripes"}):
                    learn(output, epochs=epochs)
            (study / "table.md").write_text(f"after {epochs}")

    call(epochs=1)
    call(epochs=2)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("stripes")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"stripes", "one"}
    parent, training = runs["stripes"], runs["one"]
    assert training.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert "mlflow.parentRunId" not in parent.data.tags
    assert by_epoch(uri, training, "loss") == [(1, 1.0), (2, 0.5)]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert parent.data.tags["stages"] == "search, final"
    assert files(uri, parent) == ["table.md"]
    table = client.download_artifacts(parent.info.run_id, "table.md", str(tmp_path))
    assert Path(table).read_text() == "after 2"


def test_settings_and_the_dataset_are_sent(output: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/own/runs.db"
    conf = {"spark.hadoop.fs.s3a.secret.key": "s3cr3t", "spark.note": "x" * 501}
    settings = {"tracking": {"uri": uri, "experiment": "mine"}, "spark": {"conf": conf}}
    with track(output, **settings):
        learn(output, epochs=1)
    # Nothing else is created, such as MLflow's folder mlruns.
    assert sorted(os.listdir(tmp_path)) == ["model", "own"]
    assert sorted(os.listdir(tmp_path / "own")) == ["mlartifacts", "runs.db"]
    run = only_run(uri, "mine")
    params = run.data.params
    assert {
        name: params[name] for name in ("name", "train.model.filters", "train.learning_rate")
    } == {
        "name": "faces",
        "train.model.filters": "[32, 32]",
        "train.learning_rate": "0.001",
    }
    assert (params["paths.images"], params["train.model.batch_norm"]) == ("null", "false")
    assert (params["rows.train"], params["rows.test"]) == ("2", "1")
    assert params["spark.conf.spark.hadoop.fs.s3a.secret.key"] == "(hidden)"
    assert params["spark.conf.spark.note"] == "x" * 497 + "..."
    (train,) = run.inputs.dataset_inputs
    assert (train.dataset.name, train.dataset.digest) == ("faces-train", "f")
    assert train.dataset.source == '{"uri": "/data"}'
    tags = run.data.tags
    assert {name: tags[name] for name in tags if "mlflow" not in name} == {
        "halftone_version": "0.1.0",
        "dataset": "/data",
        "dataset_version": "1",
        "dataset_fingerprint": "f",
        "output": str(output),
    }


@pytest.mark.slow
def test_server_that_was_down_has_everything_in_the_end(
    output: Path, server: Server, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    warnings: list[str] = []

    def has_warned() -> bool:
        warnings.append(capfd.readouterr().err)
        return any(warnings)

    with track(output):
        learn(output, epochs=1)
        wait_for((output / "mlflow.json").exists)
        wait_for(lambda: by_epoch(server.uri, only_run(server.uri), "loss") == [(1, 1.0)])
        server.stop()
        learn(output, epochs=2)
        wait_for(has_warned)
        learn(output, epochs=3)
        server.start()
        publish(output)
    run = only_run(server.uri)
    assert run.info.status == "FINISHED"
    assert by_epoch(server.uri, run, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    sent = files(server.uri, run)
    assert {"model/MLmodel", "model/network-abc.keras", "model.json"} <= set(sent)
    stdout, stderr = capfd.readouterr()
    assert stdout == (
        f"tracked: run {run.info.run_name} ({run.info.run_id}) in experiment faces, {server.uri}\n"
    )
    assert "".join([*warnings, stderr]) == (
        f"tracking: {server.uri}: [Errno 111] Connection refused; training continues, its metrics "
        f"are in {output}/history.json\n"
    )


@pytest.mark.timeout(240)  # one request by MLflow's defaults would take longer
def test_server_that_never_answers_is_given_up_after_one_retry(
    output: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://me:pa55@127.0.0.1:{silent.getsockname()[1]}"
        with track(output, tracking={"uri": uri}):
            learn(output, epochs=1)
            silent.settimeout(60)
            silent.accept()  # the tracker has imported MLflow and sends its first request
        num_connections = 1
        silent.setblocking(False)
        with suppress(BlockingIOError):
            while silent.accept():
                num_connections += 1
    assert num_connections == 2
    assert capfd.readouterr() == (
        "",
        f"tracking: {uri.replace('pa55', '***')}: timed out; the training's metrics are in "
        f"{output}/history.json\n",
    )


@pytest.mark.slow
def test_concurrent_trainings_may_create_the_store(tmp_path: Path) -> None:
    def train(name: str) -> None:
        with track(tmp_path / name):
            learn(tmp_path / name, epochs=1)

    with ThreadPoolExecutor(2) as both:
        list(both.map(train, ["one", "other"]))
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'faces'")
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    assert {run.data.tags["output"] for run in runs} == {
        str(tmp_path / "one"),
        str(tmp_path / "other"),
    }
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".mlflow-")]


def test_run_of_a_killed_job_does_not_stay_running(output: Path, tmp_path: Path) -> None:
    job = (
        "import pathlib, time, test_tracking\n"
        f"with test_tracking.track(pathlib.Path({str(output)!r})): time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", job],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
    )
    wait_for((output / "mlflow.json").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: only_run(f"sqlite:///{tmp_path}/mlflow.db").info.status == "KILLED")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StoppedError("asked to"), ("KILLED", "")),
        (KeyboardInterrupt(), ("KILLED", "")),
        (SystemExit(1), ("KILLED", "")),
        (RunError("the disk is full"), ("FAILED", "the disk is full")),
        (MemoryError(), ("FAILED", "MemoryError")),
    ],
)
def test_status_of_a_run(error: BaseException, outcome: tuple[str, str]) -> None:
    assert tracking._run_status(error) == outcome


def test_no_tracker_process_starts_if_tracking_is_disabled(output: Path, tmp_path: Path) -> None:
    command = ["pgrep", "-P", str(os.getpid()), "-f", "halftone.tracking.tracker_process"]
    with track(output, tracking={"enabled": False}):
        assert subprocess.run(command).returncode == 1
    assert os.listdir(tmp_path) == []


def test_tracker_process_that_cannot_start_is_reported(
    output: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "halftone.py").write_text("raise ImportError('no such luck')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with track(output):
        learn(output, epochs=1)
    assert capfd.readouterr().err == (
        f"tracking: sqlite:///{tmp_path}/mlflow.db: ImportError: no such luck\n"
    )


@pytest.mark.parametrize(
    ("environment", "uri", "expected"),
    [
        ({}, None, "sqlite:///CWD/mlflow.db"),
        ({"MLFLOW_TRACKING_URI": "http://a"}, None, "http://a"),
        ({"MLFLOW_TRACKING_URI": "http://a"}, "http://b", "http://b"),
        ({"DATABRICKS_RUNTIME_VERSION": "15.4"}, None, "databricks"),
        ({}, "sqlite:////abs/x.db", "sqlite:////abs/x.db"),
        ({}, "sqlite:///../x.db?timeout=9", "sqlite:///PARENT/x.db?timeout=9"),
    ],
)
def test_store_uri(
    environment: dict[str, str],
    uri: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    job = tracking._build_job(faces_config(tracking={"uri": uri}), {}, {}, "/model")
    assert job is not None
    expected = expected.replace("CWD", str(tmp_path)).replace("PARENT", str(tmp_path.parent))
    assert job["uri"] == expected
    assert job["experiment"] == ("/Shared/faces" if expected == "databricks" else "faces")


def test_passwords_are_masked() -> None:
    hide = tracking.mask_passwords
    assert hide("http://me:p@ss@host:1/x failed") == "http://me:***@host:1/x failed"
    assert hide("postgresql+psycopg2://u:p@h/db") == "postgresql+psycopg2://u:***@h/db"
    assert hide("sqlite:////a:b@c http://h:80/a") == "sqlite:////a:b@c http://h:80/a"
    config = faces_config(tracking={"uri": "http://u:p@h"})
    job = tracking._build_job(config, tracking._config_params(config), {}, "/model")
    assert job is not None
    assert job["params"]["tracking.uri"] == "http://u:***@h"


@pytest.mark.parametrize(
    ("path", "options", "uri"),
    [
        ("/a/mlflow.db", "", "sqlite:////a/mlflow.db"),
        ("/a #%20b/mlflow.db", "timeout=5", "sqlite:////a #%20b/mlflow.db?timeout=5"),
        ("/a?b#c%/m.db", "", "sqlite:///file:/a%3Fb%23c%25/m.db?uri=true"),
    ],
)
def test_an_sqlite_file_in_a_folder_of_any_name(path: str, options: str, uri: str) -> None:
    assert tracking.sqlite_uri(path, options) == uri
    assert tracking.sqlite_path(uri) == path
