"""Shared by tests of retraining: drawn images of stripes, and a config."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np
import yaml

JOB = str(Path(__file__).parents[1] / "jobs" / "retrain.py")
NAME = "stripes"


def draw(
    root: Path, tag: str, each: int, seed: int, swapped: bool = False, level: int = 128
) -> list[Path]:
    """Draw lying and upright stripes.

    Args:
        root: folder of images.
        tag: start of file names.
        each: images per class.
        seed: of the random generator.
        swapped: whether each class gets the images of the other.
        level: mean grey level.
    """
    drawn = []
    for kind, label in enumerate(("lying", "upright")):
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            path = root / label / f"{tag}-{number:03d}.png"
            drawn_kind = 1 - kind if swapped else kind
            cv2.imwrite(str(path), _stripes(drawn_kind, seed + 2 * number + kind, level))
            drawn.append(path)
    return drawn


def _stripes(kind: int, seed: int, level: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    along = np.mgrid[:24, :24][kind]
    wave = np.sin(along / rng.uniform(1.0, 2.0) + rng.uniform(0, 6))
    noise = rng.normal(0, 30, wave.shape)
    return np.clip(level + 50 * wave + noise, 0, 255).astype(np.uint8)


def write_config(folder: Path, epochs: int = 2, **retrain: Any) -> Path:
    """Write a config with tiny images and a tiny network, and all paths below `folder`."""
    settings = {
        "name": NAME,
        "seed": 7,
        "paths": {"images": str(folder / "images"), "dataset": str(folder / "dataset")},
        "pixels": {"height_px": 12, "width_px": 12},
        "splits": {"validation_fraction": 0.1, "test_fraction": 0.35},
        "preprocess": {
            "rows_per_shard": 32, "max_reject_fraction": 0.5, "near_duplicates": "off",
        },
        "train": {
            "epochs": epochs, "batch_size": 8, "learning_rate": 0.01,
            "model": {"name": "convnet", "filters": [4], "dense": [8]},
        },
        # Without tracking, trainings need no MLflow process; the registry creates the runs.
        "tracking": {"enabled": False, "uri": f"sqlite:///{folder}/mlflow.db"},
        "spark": {"master": "local[1, 4]"},
        "retrain": {"folder": str(folder / "retrain"), **retrain},
    }  # fmt: skip
    path = folder / "retrain.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def in_a_process(work: Callable[[], object]) -> int:
    """Do `work` in a forked process; return its exit code, -9 if it was killed."""
    sys.stdout.flush()
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            sys.stdout.flush()
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def last_line(output: str) -> dict[str, Any]:
    """Parse the last line of the job's output."""
    outcome: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return outcome


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """Read the outcomes of all runs, in order."""
    paths = sorted((folder / "retrain" / "nights").glob("*/*-outcome.json"))
    return [json.loads(path.read_text()) for path in paths]
