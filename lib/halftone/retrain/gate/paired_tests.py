"""Which of two models is better on the same rows, and whether by more than chance."""

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
    """Of the challenger (now) with the champion (before), by the gate's measure."""

    rows: int
    before: float
    now: float
    low: float  # interval of the difference
    high: float
    p_value: Optional[float]  # McNemar's; none for f1
    verdict: str  # BETTER or WORSE by more than chance, else EQUAL


def compare_predictions(
    cells: CellCounts, num_classes: int, settings: GateSettings
) -> PairedComparison:
    """Compare both on the rows of `cells`, of which there is one at least.

    Accuracies by McNemar's test (Q. McNemar, 1947), exact: of the rows that only one of the two has
    right, each is as likely to have. F1 by the paired bootstrap: rows are drawn anew with what both
    said of them (B. Efron, R. J. Tibshirani, 1993, chapter 16), and chance is ruled out where the
    interval of the difference does not hold 0.
    """
    measure = _accuracy if settings.measure == "accuracy" else _f1
    kinds = np.array(list(cells), np.int64)  # (cells, 3)
    counts = np.array(list(cells.values()), np.float64)
    sides = [_class_contributions(kinds, side, num_classes) for side in (1, 2)]
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
    """Rows that only the challenger has right, and rows that only the champion has."""
    won = sum(n for (label, one, other), n in cells.items() if one != label == other)
    lost = sum(n for (label, one, other), n in cells.items() if one == label != other)
    return won, lost


def mcnemar_p_value(won: int, lost: int) -> float:
    """How often chance alone would give so unequal counts, or more so: two-sided, exact."""
    from scipy.stats import binomtest  # here, as it takes a second and few nights get so far

    total = won + lost
    return float(binomtest(min(won, lost), total).pvalue) if total else 1.0


def recall_by_class(cells: CellCounts, side: int) -> dict[int, float]:
    """The recall of each class that has rows; side 1 is the champion's, 2 the challenger's."""
    rows: dict[int, int] = {}
    hits: dict[int, int] = {}
    for cell, count in cells.items():
        rows[cell[0]] = rows.get(cell[0], 0) + count
        hits[cell[0]] = hits.get(cell[0], 0) + count * (cell[0] == cell[side])
    return {label: hits[label] / rows[label] for label in sorted(rows)}


def _class_contributions(kinds: npt.NDArray[np.int64], side: int, num_classes: int) -> _Values:
    """What a row of each kind adds to hits, labels and predictions: (cells, 3 * classes)."""
    adds = np.zeros((len(kinds), 3, num_classes))
    every = np.arange(len(kinds))
    label, prediction = kinds[:, 0], kinds[:, side]
    adds[every, 0, label] = label == prediction
    adds[every, 1, label] = 1
    adds[every, 2, prediction] = 1
    return adds.reshape(len(kinds), 3 * num_classes)


def _difference_interval(
    counts: _Values, sides: list[_Values], num_classes: int, settings: GateSettings
) -> tuple[float, float]:
    measure = _accuracy if settings.measure == "accuracy" else _f1
    rng = np.random.Generator(np.random.PCG64(0))  # the same rows give the same decision
    total = int(counts.sum())
    drawn = []
    for _ in range(_REPLICATES // _CHUNK):
        samples = rng.multinomial(total, counts / total, _CHUNK).astype(np.float64)
        before, now = (measure(samples @ side, num_classes) for side in sides)
        drawn.append(now - before)
    tail = 50 * (1 - settings.confidence)  # percent
    low, high = np.percentile(np.concatenate(drawn), (tail, 100 - tail))
    return float(low), float(high)


def _accuracy(sums: _Values, num_classes: int) -> _Values:
    hits, labels, _ = np.split(sums, 3, axis=1)
    return np.asarray(hits.sum(axis=1) / labels.sum(axis=1))


def _f1(sums: _Values, num_classes: int) -> _Values:
    by_class = sums.reshape(-1, 3, num_classes)
    if num_classes == 2:  # as metrics.json has it: of the second class, or the classes' mean
        return point_estimates.precision_recall_f1(by_class)["f1"][:, 1]
    return point_estimates.macro_and_weighted_means(by_class)[0]["f1"]
