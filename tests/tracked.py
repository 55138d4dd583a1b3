"""What a training leaves for MLflow, without one; a real server of MLflow; what it then knows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Callable, Optional

from mlflow import MlflowClient
from mlflow.entities import Run

from halftone import storage


def learn(output: Path, epochs: int) -> None:
    """Leave the history of a training that has done so many epochs."""
    done = [
        {
            "epoch": number,
            "loss": 1 / number,
            "val_accuracy": 0.5,
            "gpus": {"0": 0.9},
            "note": "no number",
        }
        for number in range(1, epochs + 1)
    ]
    storage.write_json(str(output / "history.json"), {"best_epoch": 1, "epochs": done})


def publish(output: Path, **more: object) -> None:
    """Leave what a training leaves at its end."""
    card = {"version": "abc", "best_epoch": 2, "network": "network-abc.keras", **more}
    storage.write_json(str(output / "model.json"), card)
    for name in ("network-abc.keras", "curves.png", "logs/rank-0.log", "checkpoints/last"):
        storage.write_bytes(str(output / name), name.encode())


def wait_for(what: Callable[[], object], secs: float = 60) -> None:
    deadline = time.monotonic() + secs
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def only_run(uri: str, experiment: str = "faces") -> Run:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    return run


def by_epoch(uri: str, run: Run, metric: str) -> list[tuple[int, float]]:
    history = MlflowClient(uri).get_metric_history(run.info.run_id, metric)
    return [(entry.step, entry.value) for entry in history]


def files(uri: str, run: Run, below: Optional[str] = None) -> list[str]:
    found = []
    for entry in MlflowClient(uri).list_artifacts(run.info.run_id, below):
        found += files(uri, run, entry.path) if entry.is_dir else [entry.path]
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Server:
    """`mlflow server` on a port of its own, that can go away and come back."""

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
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
