"""Test whether one of two models is significantly better on the same rows."""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone.config import GateSettings
from halftone.metrics import point_estimates
from halftone.retrain.gate.paired_counts import CellCounts

BETTER, WORSE, EQUAL = "better", "worse", "equal"
_REPLICATES, _CHUNK = 2000, 100

_Values = npt.NDArray[np.float64]


class PairedComparison(NamedTuple):
    """A comparison of the challenger (now) with the champion (before) by the gate's measure."""

    rows: int
    before: float
    now: float
    low: float  # confidence interval of the difference
    high: float
    p_value: Optional[float]  # of McNemar's test; None for f1
    verdict: str  # BETTER or WORSE if the difference is significant, else EQUAL


def compare_predictions(
    cells: CellCounts, num_classes: int, settings: GateSettings
) -> PairedComparison:
    """Compare both models on the rows of `cells`, which must not be empty.

    Accuracies are compared by McNemar's exact test (Q. McNemar, 1947): under the null hypothesis,
    each row that only one of the models predicts correctly is equally likely to be either model's.
    F1 is compared by the paired bootstrap, which resamples rows together with both predictions
    (B. Efron, R. J. Tibshirani, 1993, chapter 16); the difference is significant if its interval
    does not contain 0.
    """
    measure = _accuracy if settings.measure == "accuracy" else _f1
    keys = np.array(list(cells), np.int64)  # (cells, 3)
    counts = np.array(list(cells.values()), np.float64)
    sides = [_class_contributions(keys, side, num_classes) for side in (1, 2)]
    before, now = (float(measure(counts[None] @ side, num_classes)[0]) for side in sides)
    low, high = _difference_interval(counts, sides, num_classes, settings)
    p_value = None
    if settings.measure == "accuracy":
        won, lost = discordant_counts(cells)
        p_value = mcnemar_p_value(won, lost)
        differs = p_value < 1 - settings.confidence
    else:
        differs = not low <= 0 <= high
    verdict = (BETTER if now > before else WORSE) if differs else EQUAL
    return PairedComparison(int(counts.sum()), before, now, low, high, p_value, verdict)


def discordant_counts(cells: CellCounts) -> tuple[int, int]:
    """Return how many rows only the challenger, and only the champion, predicts correctly."""
    won = lost = 0
    for (label, champion, challenger), count in cells.items():
        won += count * (champion != label == challenger)
        lost += count * (champion == label != challenger)
    return won, lost


def mcnemar_p_value(won: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test."""
    from scipy.stats import binomtest  # imported here because it takes a second

    total = won + lost
    return float(binomtest(min(won, lost), total).pvalue) if total else 1.0


def recall_by_class(cells: CellCounts, side: int) -> dict[int, float]:
    """Return the recall of each class that has rows.

    Args:
        cells: numbers of rows.
        side: 1 for the champion, 2 for the challenger.
    """
    rows: dict[int, int] = {}
    hits: dict[int, int] = {}
    for cell, count in cells.items():
        rows[cell[0]] = rows.get(cell[0], 0) + count
        hits[cell[0]] = hits.get(cell[0], 0) + count * (cell[0] == cell[side])
    return {label: hits[label] / rows[label] for label in sorted(rows)}


def _class_contributions(keys: npt.NDArray[np.int64], side: int, num_classes: int) -> _Values:
    """Return what a row of each cell adds to hits, labels and predictions by class.

    Args:
        keys: (cells, 3) label and both predictions.
        side: 1 for the champion, 2 for the challenger.
        num_classes: number of classes.

    Returns:
        (cells, 3 * classes).
    """
    contributions = np.zeros((len(keys), 3, num_classes))
    rows = np.arange(len(keys))
    label, prediction = keys[:, 0], keys[:, side]
    contributions[rows, 0, label] = label == prediction
    contributions[rows, 1, label] = 1
    contributions[rows, 2, prediction] = 1
    return contributions.reshape(len(keys), 3 * num_classes)


def _difference_interval(
    counts: _Values, sides: list[_Values], num_classes: int, settings: GateSettings
) -> tuple[float, float]:
    measure = _accuracy if settings.measure == "accuracy" else _f1
    rng = np.random.Generator(np.random.PCG64(0))  # the same rows give the same decision
    total = int(counts.sum())
    differences = []
    for _ in range(_REPLICATES // _CHUNK):
        samples = rng.multinomial(total, counts / total, _CHUNK).astype(np.float64)
        before, now = (measure(samples @ side, num_classes) for side in sides)
        differences.append(now - before)
    tail = 50 * (1 - settings.confidence)  # percent
    low, high = np.percentile(np.concatenate(differences), (tail, 100 - tail))
    return float(low), float(high)


def _accuracy(sums: _Values, num_classes: int) -> _Values:
    hits, labels, _ = np.split(sums, 3, axis=1)
    return np.asarray(hits.sum(axis=1) / labels.sum(axis=1))


def _f1(sums: _Values, num_classes: int) -> _Values:
    by_class = sums.reshape(-1, 3, num_classes)
    if num_classes == 2:  # like metrics.json: F1 of the second class, or the mean over classes
        return point_estimates.precision_recall_f1(by_class)["f1"][:, 1]
    return point_estimates.macro_and_weighted_means(by_class)[0]["f1"]
