"""Counts of rows by score, and the areas under the ROC and precision-recall curves.

The areas equal those of scikit-learn. Counts of several machines are added; rows are never sorted
across machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from halftone.metrics.model import Point

CountsByScore = npt.NDArray[Any]  # (..., scores) integers or whole floats, the highest score first
_Codes = npt.NDArray[np.uint32]

_POINT_DIGITS = 6  # decimal places of curve points


@dataclass(frozen=True, eq=False)
class ScoreCounts:
    """Counts of rows by score and by whether they are of the class; `+` adds counts of other rows.

    Counts are exact up to `max_codes` distinct pairs of score and side, of 8 bytes each. Beyond
    that, as few of the last bits of all scores as necessary are dropped. How many depends on the
    rows, not on the order in which they were added. With 10,000,000 rows of 10 classes 7 bits were
    dropped, and the areas were off by 2e-10 (ROC) and 1e-6 (precision-recall).
    """

    codes: _Codes  # (M,) ascending: the bits of the float32 score, then 1 for a row of the class
    counts: _Codes  # (M,)
    max_codes: int
    dropped_bits: int = 0

    def __add__(self, other: ScoreCounts) -> ScoreCounts:
        return _compact_counts(
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.counts, other.counts]),
            self.max_codes,
            max(self.dropped_bits, other.dropped_bits),
        )

    def scores(self) -> npt.NDArray[np.float32]:
        """Return the distinct scores, the highest first."""
        codes = self.codes[_run_starts(self.codes >> np.uint32(1))]
        return (codes >> np.uint32(1)).view(np.float32)[::-1]

    def split_by_class(self) -> tuple[CountsByScore, CountsByScore]:
        """Return the rows of the class and the others, (scores,) int64 each, highest first."""
        starts = _run_starts(self.codes >> np.uint32(1))
        of_class = np.where(self.codes & 1, self.counts, np.uint32(0))
        positives = np.add.reduceat(of_class, starts, dtype=np.int64)
        negatives = np.add.reduceat(self.counts, starts, dtype=np.int64) - positives
        return positives[::-1], negatives[::-1]


def count_scores(
    scores: npt.NDArray[np.float32], is_positive: npt.NDArray[np.bool_], max_codes: int
) -> ScoreCounts:
    """Count rows by score.

    Args:
        scores: (N,) float32, 0 to 1.
        is_positive: (N,) whether the row is of the class.
        max_codes: number of distinct entries to keep.
    """
    # Bits of non-negative floats sort like the floats; the shift drops the sign bit of -0.
    bits = np.ascontiguousarray(scores).view(np.uint32)
    codes, counts = np.unique(bits << np.uint32(1) | is_positive, return_counts=True)
    return _compact_counts(codes, counts.astype(np.uint32), max_codes, 0)


def _compact_counts(
    codes: _Codes, counts: _Codes, max_codes: int, dropped_bits: int
) -> ScoreCounts:
    while True:
        codes = codes & ~np.uint32((1 << dropped_bits + 1) - 2)
        order = np.argsort(codes, kind="stable")  # a single merge of two sorted parts
        codes, counts = codes[order], counts[order]
        starts = _run_starts(codes)
        codes, counts = codes[starts], np.add.reduceat(counts, starts, dtype=np.uint32)
        if len(codes) <= max_codes:
            return ScoreCounts(codes, counts, max_codes, dropped_bits)
        dropped_bits += 1


def _run_starts(values: _Codes) -> npt.NDArray[np.intp]:
    """Return the index at which each run of equal values begins."""
    return np.flatnonzero(np.diff(values, prepend=~values[:1]))


def roc_auc(positives: CountsByScore, negatives: CountsByScore) -> npt.NDArray[np.float64]:
    """Return the area under the ROC curve, (...) float64: the share of correctly ordered pairs.

    A tie counts as half a pair. NaN if one side has no rows.
    """
    # Twice the rows of the class at or above each score; ties count once.
    above = 2 * np.cumsum(positives, axis=-1) - positives
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    return _ratio_or_nan((above * negatives).sum(axis=-1), 2 * pairs, pairs)


def average_precision(
    positives: CountsByScore, negatives: CountsByScore
) -> npt.NDArray[np.float64]:
    """Return the area under the precision-recall curve, (...) float64.

    It is a step function: the mean precision at the scores of the rows of the class. NaN if one
    side has no rows.
    """
    hits = np.cumsum(positives, axis=-1)
    precision = hits / np.maximum(1, np.cumsum(positives + negatives, axis=-1))
    total = positives.sum(axis=-1)
    return _ratio_or_nan(
        (positives * precision).sum(axis=-1), total, total * negatives.sum(axis=-1)
    )


def _ratio_or_nan(
    numerator: CountsByScore, denominator: CountsByScore, pairs: CountsByScore
) -> npt.NDArray[np.float64]:
    return np.where(pairs > 0, numerator / np.maximum(1, denominator), np.nan)


def roc_and_pr_curves(
    positives: CountsByScore, negatives: CountsByScore, max_points: int
) -> tuple[list[Point], list[Point]]:
    """Return the ROC curve, (fpr, tpr) each, and the PR curve, (recall, precision) each.

    Both go from the highest score to the lowest.

    Args:
        positives, negatives: (scores,) rows of the class and others; both sides have rows.
        max_points: at most so many points per curve. They are evenly spaced along the ROC curve, so
            that its corner is drawn as well as its ends.
    """
    hits, alarms = np.cumsum(positives), np.cumsum(negatives)
    tpr, fpr = hits / hits[-1], alarms / alarms[-1]
    drawn = np.arange(len(hits))
    if len(hits) >= max_points:
        drawn = np.unique(np.searchsorted(tpr + fpr, np.linspace(0, 2, max_points)[1:]))
    precision = hits[drawn] / (hits[drawn] + alarms[drawn])
    return (
        [(0.0, 0.0), *_round_points(fpr[drawn], tpr[drawn])],
        [(0.0, 1.0), *_round_points(tpr[drawn], precision)],
    )


def _round_points(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> list[Point]:
    return list(zip(x.round(_POINT_DIGITS).tolist(), y.round(_POINT_DIGITS).tolist()))
