"""Training jobs as a user starts them: wait for the process, read the results."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import yaml

from halftone.training import checkpoint

JOB = str(Path(__file__).parents[1] / "jobs" / "train.py")
MODEL = {"name": "convnet", "filters": [4], "dense": [8], "dense_dropout": 0.25, "batch_norm": True}
Train = Callable[..., "subprocess.Popen[str]"]


def start_job(folder: Path, dataset: Path, output: str, **train: Any) -> subprocess.Popen[str]:
    """Start a training of 4 epochs that writes the model directory `output` below `folder`."""
    settings = {"epochs": 4, "batch_size": 16, "model": MODEL, **train}
    path = folder / f"{output}.yaml"
    path.write_text(yaml.safe_dump({"seed": 7, "tracking": {"enabled": False}, "train": settings}))
    command = [sys.executable, JOB, "--config", str(path)]
    command += ["--dataset", str(dataset), "--output", str(folder / output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the job, check its exit code, and return its output."""
    output, _ = process.communicate(timeout=600)
    assert process.returncode == code, output
    return output


def weights(model: Path) -> list[np.ndarray]:
    """The weights after epoch 4."""
    return checkpoint.read_checkpoint(str(model / "checkpoints"), 4).weights


def history(model: Path) -> list[dict[str, Any]]:
    """The metrics of each epoch, without those that depend on the time."""
    epochs = json.loads((model / "history.json").read_text())["epochs"]
    return [
        {key: value for key, value in entry.items() if key not in ("secs", "images_per_sec")}
        for entry in epochs
    ]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the job has written `path`."""
    for _ in range(6000):
        if path.exists():
            return
        assert process.poll() is None, finish(process)
        time.sleep(0.05)
    raise TimeoutError(path)
