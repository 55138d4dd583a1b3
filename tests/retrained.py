"""Nights of retraining on drawn stripes: what tests of them share."""

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
    """Draw lying and upright stripes; `swapped` under each other's label, `level` of grey."""
    drawn = []
    for kind, label in enumerate(("lying", "upright")):
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            path = root / label / f"{tag}-{number:03d}.png"
            shown = 1 - kind if swapped else kind
            cv2.imwrite(str(path), _stripes(shown, seed + 2 * number + kind, level))
            drawn.append(path)
    return drawn


def _stripes(kind: int, seed: int, level: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    along = np.mgrid[:24, :24][kind]
    wave = np.sin(along / rng.uniform(1.0, 2.0) + rng.uniform(0, 6))
    noise = rng.normal(0, 30, wave.shape)
    return np.clip(level + 50 * wave + noise, 0, 255).astype(np.uint8)


def write_config(folder: Path, epochs: int = 2, **retrain: Any) -> Path:
    """Write a config of tiny images and a tiny network, with everything below `folder`."""
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
        # A training's own run costs MLflow's seconds; the registry makes one where there is none.
        "tracking": {"enabled": False, "uri": f"sqlite:///{folder}/mlflow.db"},
        "spark": {"master": "local[2, 4]"},
        "retrain": {"folder": str(folder / "retrain"), **retrain},
    }  # fmt: skip
    path = folder / "retrain.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def in_a_process(work: Callable[[], object]) -> int:
    """Do `work` in a process forked here; return how that ended, -9 where it was killed."""
    sys.stdout.flush()
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            sys.stdout.flush()
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def last_line(said: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return found


def outcomes(folder: Path) -> list[dict[str, Any]]:
    found = sorted((folder / "retrain" / "nights").glob("*/*-outcome.json"))
    return [json.loads(path.read_text()) for path in found]
