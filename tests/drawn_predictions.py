"""Predictions by chance, of a model that is better than chance, for the tests of metrics."""

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

    def tally(self, threshold: float = 0.5) -> MetricsAccumulator:
        return accumulator.accumulate_rows(*self, threshold)

    def rows(self, chosen: np.ndarray) -> Predictions:
        return Predictions(
            [self.keys[row] for row in chosen], *(column[chosen] for column in self[1:])
        )


def made(label_ids: list[int] | np.ndarray, probabilities: list | np.ndarray) -> Predictions:
    labels = np.asarray(label_ids, np.int32)
    shares = np.asarray(probabilities, np.float32)
    own = shares[np.arange(len(labels)), labels].astype(np.float64)
    keys = [f"photo/{row:05d}.jpg" for row in range(len(labels))]
    return Predictions(keys, labels, shares, -np.log(np.maximum(own, 1e-7)))


def calibrated(seed: int, rows: int, classes: int, sharpness: float = 1.0) -> Predictions:
    """Labels drawn from the probabilities; above a `sharpness` of 1 the model is too certain."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(rows, classes))
    shares = _softmax(logits)
    label_ids = (shares.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=classes - 1)
    return made(label_ids, _softmax(sharpness * logits))


def with_ties(seed: int, rows: int, classes: int) -> Predictions:
    """Many equal scores, within rows and between them."""
    drawn = calibrated(seed, rows, classes)
    return made(drawn.label_ids, drawn.probabilities.round(1))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)
