"""Predictions and catalogues for the tests of slices, and a reference that pandas computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as reference

from halftone import arrow, storage
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings

ROOT = "/data/images"


def write_predictions(folder: Path, rows: pd.DataFrame, labels: list[str], files: int = 2) -> list:
    """Write files of predictions of rows with the columns path, label and prediction."""
    predictor = PredictorSettings("", "v1", tuple(labels), (1, 1, 1), 1, 1)
    urls = []
    for number, part in enumerate(np.array_split(np.arange(len(rows)), files)):
        some = rows.iloc[part]
        shares = np.eye(len(labels), dtype=np.float32)[[labels.index(p) for p in some.prediction]]
        known = [label if label in labels else None for label in some.label]
        label_column = arrow.string_array([label or "" for label in known])
        table = predictions.prediction_table(
            predictor,
            arrow.string_array([f"{ROOT}/{path}" for path in some.path]),
            label_column,
            shares,
            "f00",
        )
        urls.append(str(folder / "predictions" / f"{number}.parquet"))
        storage.write_table(urls[-1], table)
    return urls


def expected_slices(rows: pd.DataFrame, column: str, labels: list[str]) -> dict[Any, dict]:
    """Compute the slices of a column by pandas and scikit-learn, by value."""
    expected = {}
    for value, some in rows.groupby(column, dropna=False):
        average = {"average": "binary", "pos_label": labels[1]}
        if len(labels) > 2:
            occurring = sorted({*some.label, *some.prediction})
            average = {"average": "macro", "labels": occurring}
        recalls = (some.label == some.prediction).groupby(some.label).mean()
        expected[value] = {
            "rows": len(some),
            "correct": int((some.label == some.prediction).sum()),
            "accuracy": reference.accuracy_score(some.label, some.prediction),
            "f1": reference.f1_score(some.label, some.prediction, zero_division=0, **average),
            "worst_recall": recalls.min(),
        }
    return expected
