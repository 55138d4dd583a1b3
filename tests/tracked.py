"""Helpers for tests of tracking: fake trainings, a real MLflow server, and queries of a store."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, Callable, Optional

from mlflow import MlflowClient
from mlflow.entities import Run

from halftone import model_directory, storage
from halftone.config import Config, PixelSpec
from halftone.model_directory import ModelInfo

# Of the model that `publish` writes, besides the code.
MLFLOW_MODEL_FILES = [
    "MLmodel",
    "conda.yaml",
    "history.json",
    "input_example.json",
    "model.json",
    "network-abc.keras",
    "python_env.yaml",
    "requirements.txt",
    "serving_input_example.json",
]


def learn(output: Path, epochs: int) -> None:
    """Write the history of a training that has done `epochs` epochs."""
    entries = [
        {
            "epoch": number,
            "loss": 1 / number,
            "val_accuracy": 0.5,
            "gpus": {"0": 0.9},
            "note": "not a number",
        }
        for number in range(1, epochs + 1)
    ]
    storage.write_json(str(output / "history.json"), {"best_epoch": 1, "epochs": entries})


def publish(output: Path, **fields: Any) -> None:
    """Write the files of a finished training; the network is an empty one."""
    info = ModelInfo(
        schema_version=1,
        halftone_version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        version="abc",
        network="network-abc.keras",
        labels=["comic", "face"],
        pixels=PixelSpec(),
        fingerprint="f00",
        best_epoch=2,
        ranks=1,
        train_secs=1.0,
        origin={},
        config=Config(),
        **fields,
    )
    for name in ("curves.png", "logs/rank-0.log", "checkpoints/last"):
        storage.write_bytes(str(output / name), name.encode())
    network = io.BytesIO()
    with zipfile.ZipFile(network, "w") as archive:
        archive.writestr("config.json", "{}")
    model_directory.write_model(str(output), info, network.getvalue())


def wait_for(condition: Callable[[], object], secs: float = 60) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.1)


def only_run(uri: str, experiment: str = "faces") -> Run:
    client = MlflowClient(uri)
    experiment_entity = client.get_experiment_by_name(experiment)
    assert experiment_entity is not None
    (run,) = client.search_runs([experiment_entity.experiment_id])
    return run


def by_epoch(uri: str, run: Run, metric: str) -> list[tuple[int, float]]:
    history = MlflowClient(uri).get_metric_history(run.info.run_id, metric)
    return [(entry.step, entry.value) for entry in history]


def files(uri: str, run: Run, below: Optional[str] = None) -> list[str]:
    """Return the paths of all artifacts of a run, recursively."""
    paths = []
    for artifact in MlflowClient(uri).list_artifacts(run.info.run_id, below):
        paths += files(uri, run, artifact.path) if artifact.is_dir else [artifact.path]
    return paths


@cache
def empty_store() -> bytes:
    """The SQLite file of a store without runs.

    It is created in a subprocess because MLflow configures logging for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        make = f"from halftone.tracking import mlflow_store; mlflow_store.connect({uri!r})"
        command = [sys.executable, "-c", make]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return Path(folder, "mlflow.db").read_bytes()


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


class Server:
    """`mlflow server` on a free port, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        self._command += ["--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
        self._command += ["--artifacts-destination", str(folder / "artifacts")]
        self._folder = folder
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self._is_up, secs=120)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False
