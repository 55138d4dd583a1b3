"""Configs and results of imaginary runs, for the tests of the table and page of an experiment."""

from __future__ import annotations

from typing import Any

from halftone.config import Config, config_from_mapping


def config(**train: Any) -> Config:
    return config_from_mapping({"paths": {"images": "/data/images"}, "train": train}, "test")


def a_result(**changes: Any) -> dict[str, Any]:
    """Content of result.json of a finished run, see halftone.experiment.outcomes."""
    return {
        "state": "finished",
        "parameters": 12345,
        "epochs": 20,
        "best_epoch": 3,
        "train": {"accuracy": 0.875, "loss": 0.25},
        "validation": {"accuracy": 0.75, "loss": 0.5},
        "test": {"accuracy": 0.98, "loss": 0.0625},
        "train_secs": 1234.5,
        "images_per_sec": 4321.9,
        "secs": 2345.6,
        **changes,
    }
