"""Summarise the history and the scores of a training, see halftone.experiment.outcomes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from halftone.dataset.splits import SPLITS, TEST, TRAIN, VALIDATION
from halftone.metrics.model import Metrics

EpochEntries = Sequence[Mapping[str, Any]]


def summarise_history(history: EpochEntries, best_epoch: Optional[int]) -> dict[str, Any]:
    """Summarise a training from its epochs; the test split has no values.

    Args:
        best_epoch: None if no epoch had a finite loss; then no split has values.
    """
    best = next((entry for entry in history if entry["epoch"] == best_epoch), {})
    keys = {TRAIN: "{}", VALIDATION: "val_{}", TEST: ""}
    return {
        "epochs": len(history),
        "best_epoch": best_epoch,
        **{
            split: {name: best.get(keys[split].format(name)) for name in ("loss", "accuracy")}
            for split in SPLITS
        },
        # Of all epochs, including those of an earlier process.
        "train_secs": round(sum(entry["secs"] for entry in history), 3),
        "images_per_sec": statistics.median(entry["images_per_sec"] for entry in history),
    }


def summarise_scores(metrics: Metrics) -> dict[str, Any]:
    """Select the metrics of a split for the result of a run."""
    return {
        "loss": metrics.loss,
        "accuracy": metrics.accuracy,
        "precision": metrics.precision,
        "recall": metrics.recall,
        "f1": metrics.f1,
        "rows": metrics.rows,
        "mistakes": metrics.rows - metrics.num_correct,
    }
