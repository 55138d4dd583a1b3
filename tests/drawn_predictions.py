"""Random predictions of a model that is better than chance, for the tests of metrics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from halftone.metrics import accumulator
from halftone.metrics.accumulator import MetricsAccumulator


class Predictions(NamedTuple):
    keys: list[str]
    label_ids: np.ndarray  # (N,) int32
    probabilities: np.ndarray  # (N, classes) float32
    losses: np.ndarray  # (N,) float64

    def accumulate(self, threshold: float = 0.5) -> MetricsAccumulator:
        return accumulator.accumulate_rows(*self, threshold)

    def rows(self, row_ids: np.ndarray) -> Predictions:
        return Predictions(
            [self.keys[row] for row in row_ids], *(column[row_ids] for column in self[1:])
        )


def build_predictions(
    label_ids: list[int] | np.ndarray, probabilities: list | np.ndarray
) -> Predictions:
    ids = np.asarray(label_ids, np.int32)
    shares = np.asarray(probabilities, np.float32)
    of_label = shares[np.arange(len(ids)), ids].astype(np.float64)
    keys = [f"photo/{row:05d}.jpg" for row in range(len(ids))]
    return Predictions(keys, ids, shares, -np.log(np.maximum(of_label, 1e-7)))


def calibrated(seed: int, rows: int, classes: int, sharpness: float = 1.0) -> Predictions:
    """Draw labels from the probabilities; a `sharpness` above 1 makes the model overconfident."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(rows, classes))
    shares = _softmax(logits)
    label_ids = (shares.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=classes - 1)
    return build_predictions(label_ids, _softmax(sharpness * logits))


def with_ties(seed: int, rows: int, classes: int) -> Predictions:
    """Draw predictions with many equal scores, within rows and between them."""
    drawn = calibrated(seed, rows, classes)
    return build_predictions(drawn.label_ids, drawn.probabilities.round(1))


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)
