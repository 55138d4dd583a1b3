"""Predictions of drawn rows, some of whose labels are wrong, and findings, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from halftone import storage
from halftone.dataset import schema
from halftone.label_errors import findings
from halftone.label_errors.class_counts import ClassSums, PairCounts
from halftone.label_errors.confident_joint import class_thresholds
from halftone.label_errors.findings import CorrectionsFile, LabelFindings, Unjudged
from halftone.scoring import predictions

LABELS = ["cat", "dog", "owl"]
# Of 50 rows.
SUMS = ClassSums(np.array([30, 20, 0]), np.array([27.0, 10.0, 0.0]))
PAIRS = PairCounts(
    np.array([[20, 10, 0], [0, 5, 0], [0, 0, 0]]), np.array([[0, 8, 0], [0, 0, 1], [0, 0, 0]])
)


class DrawnRows(NamedTuple):
    keys: list[str]
    label_ids: np.ndarray  # (N,)
    probabilities: np.ndarray  # (N, 3) float32
    is_wrong: np.ndarray  # (N,) whether the label was changed

    def thresholds(self) -> np.ndarray:
        of_label = self.probabilities[np.arange(len(self.keys)), self.label_ids]
        sums = np.bincount(self.label_ids, of_label.astype(np.float64), len(LABELS))
        return class_thresholds(np.bincount(self.label_ids, minlength=len(LABELS)), sums)


def draw_rows(num_rows: int, seed: int = 1) -> DrawnRows:
    """Draw rows of a good model; one label in ten is changed to the next class."""
    rng = np.random.default_rng(seed)
    true_ids = rng.integers(0, 3, num_rows)
    logits = rng.normal(size=(num_rows, 3))
    logits[np.arange(num_rows), true_ids] += 4
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    is_wrong = rng.random(num_rows) < 0.1
    label_ids = np.where(is_wrong, (true_ids + 1) % 3, true_ids)
    keys = [f"/images/{number:05d}.png" for number in rng.permutation(num_rows)]
    return DrawnRows(keys, label_ids, shares.astype(np.float32), is_wrong)


def write_files(folder: Path, rows: DrawnRows, cuts: Sequence[int]) -> list[str]:
    """Write the rows to a file for each part between two cuts; return the paths."""
    paths = []
    for number, part in enumerate(np.split(np.arange(len(rows.keys)), cuts)):
        path = str(folder / f"{number:05d}.parquet")
        keys = [rows.keys[row] for row in part]
        labels = [LABELS[label_id] for label_id in rows.label_ids[part]]
        write_predictions(path, keys, labels, rows.probabilities[part])
        paths.append(path)
    return paths


def write_predictions(
    path: str, keys: Sequence[str], labels: Sequence[str], probabilities: np.ndarray
) -> None:
    """Write those columns of schema.PREDICTIONS that are read."""
    columns = {
        schema.KEY: pa.array(keys, pa.string()),
        schema.LABEL: pa.array(labels, pa.string()),
        schema.PROBABILITY: predictions.probability_column(probabilities),
    }
    storage.write_table(path, pa.table(columns))


def drawn_findings(**changes: Any) -> LabelFindings:
    classes = findings.list_classes(LABELS, SUMS, PAIRS)
    values = {
        "run": "0123456789abcdef",
        "created": "2026-05-04T10:20:30+00:00",
        "halftone_version": "0.1.0",
        "images": "/data/images",
        "folds": 5,
        "rows": 50,
        "issues": 9,
        "estimated_errors": 10.0,
        "classes": classes,
        "pairs": findings.list_pairs(LABELS, SUMS, PAIRS),
        "unjudged": Unjudged(test=7, others=2),
        "files": ["0123456789abcdef-00000.parquet"],
        "corrections": CorrectionsFile(rows=59, suggestions=10, digest="00"),
    }
    return LabelFindings(**{**values, **changes})
