"""What there is to know of predictions, counted: the size is fixed, and tallies can be added.

Rows are never collected. All is in whole numbers, so the sum is the same to the bit however the
rows lie in files. Sums are kept for each of 256 groups of rows; intervals are estimated from how
those differ (see bootstrap.py).

A tally holds the exact scores, which are 8 bytes for each class and each score that occurs (of two
classes, one class): 80 MB for 1,000,000 rows of 10 classes, and never more than 134 MB (see
ranking.py). The rest is 2 to 3 MB up to 64 classes, and 47 MB at 1,000.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from halftone.errors import InputError
from halftone.metrics import group_sums, score_counts, thresholds
from halftone.metrics.group_sums import Counts, Fractions, GroupSums, Ids, Scores, count_cells
from halftone.metrics.score_counts import ScoreCounts

HISTOGRAM_BINS = 40
_MAX_SCORES = 1 << 24  # kept exactly, over all classes


@dataclass(frozen=True, eq=False)
class MetricsAccumulator:
    """Add with `+`, or many with `total`. Of two classes, the curve is that of the second."""

    confusion: Counts  # (classes, classes): rows by label, columns by prediction
    label_ranks: Counts  # (classes,): rows whose label is the most probable, the second, ...
    score_histogram: (
        Counts  # (2, SHOWN_BINS): rows by label and p1; of more classes wrong and right by top
    )
    group_sums: GroupSums  # (GROUPS, ...) each
    score_counts: tuple[ScoreCounts, ...]  # one a curve

    def __add__(self, other: MetricsAccumulator) -> MetricsAccumulator:
        return MetricsAccumulator(
            self.confusion + other.confusion,
            self.label_ranks + other.label_ranks,
            self.score_histogram + other.score_histogram,
            GroupSums(*map(add, self.group_sums, other.group_sums)),
            tuple(map(add, self.score_counts, other.score_counts)),
        )


def sum_accumulators(parts: Iterable[MetricsAccumulator]) -> MetricsAccumulator:
    """Add up one tally or more: those of as many parts first, so that none is copied often."""
    waiting: list[tuple[int, MetricsAccumulator]] = []
    for part in parts:
        size = 1
        while waiting and waiting[-1][0] == size:
            size, part = 2 * size, waiting.pop()[1] + part
        waiting.append((size, part))
    return reduce(add, [part for _, part in reversed(waiting)])


def accumulate_rows(
    keys: Sequence[str],
    label_ids: Ids,
    probabilities: Scores,
    losses: Fractions,
    threshold: float = thresholds.DEFAULT_THRESHOLD,
) -> MetricsAccumulator:
    """Count rows.

    Args:
        keys: N, each once in the whole sample.
        label_ids: (N,) integers.
        probabilities: (N, classes) float32; two classes or more.
        losses: (N,) float64, cross-entropies in nats.
        threshold: from which p1 on a row is of the second of two classes.

    Raises:
        InputError: a probability is not between 0 and 1.
        ValueError: arrays that do not fit.
    """
    _check_arrays(keys, label_ids, probabilities, losses)
    classes = probabilities.shape[1]
    predictions = thresholds.predict_classes(probabilities, threshold)
    top, right = probabilities.max(axis=1), thresholds.predict_classes(probabilities) == label_ids
    first = 1 if classes == 2 else 0  # the class of the first curve
    scores = probabilities[:, first:]
    of_class = label_ids[:, None] == np.arange(first, classes)  # (N, curves)
    shown = (label_ids, scores[:, 0]) if classes == 2 else (right, top)
    most = _MAX_SCORES // scores.shape[1]
    groups = _group_ids(keys)
    return MetricsAccumulator(
        count_cells((classes, classes), label_ids, predictions),
        count_cells((classes,), _label_ranks(label_ids, probabilities)),
        count_cells((2, HISTOGRAM_BINS), shown[0], _histogram_bins(shown[1])),
        GroupSums(
            group_sums.count_by_class(groups, label_ids, predictions, classes),
            group_sums.sum_losses(groups, losses, scores, of_class),
            group_sums.sum_calibration(groups, top, right),
            group_sums.count_binned_scores(groups, scores, of_class),
        ),
        tuple(score_counts.count_scores(*columns, most) for columns in zip(scores.T, of_class.T)),
    )


def _check_arrays(
    keys: Sequence[str], label_ids: Ids, probabilities: Any, losses: Fractions
) -> None:
    if not label_ids.shape == losses.shape == probabilities.shape[:1] == (len(keys),):
        raise ValueError(
            f"{len(keys)} keys, label_ids {label_ids.shape}, probabilities {probabilities.shape}, "
            f"losses {losses.shape}; all must have the same rows"
        )
    if probabilities.dtype != np.float32 or probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(
            f"probabilities are {probabilities.dtype} {probabilities.shape}; they must be float32 "
            "(N, classes), of two classes or more"
        )
    wrong = np.argwhere(~((probabilities >= 0) & (probabilities <= 1)))
    if len(wrong):
        row, number = wrong[0]
        raise InputError(
            f"{keys[row]}: the model gives class {number} a probability of "
            f"{probabilities[row, number]}, which is not between 0 and 1; train it again"
        )


def _group_ids(keys: Sequence[str]) -> Ids:
    """Which group each row belongs to: a function of its key alone."""
    hashes = np.fromiter((zlib.crc32(key.encode()) for key in keys), np.uint32, len(keys))
    # MurmurHash3's last step. Numbered keys have checksums with a pattern, and groups must not.
    hashes = (hashes ^ hashes >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ hashes >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return (hashes ^ hashes >> np.uint32(16)).astype(np.int64) % group_sums.NUM_GROUPS


def _label_ranks(label_ids: Ids, probabilities: Scores) -> Counts:
    """How many classes come before the label's own; of equal ones the first comes first."""
    own = probabilities[np.arange(len(label_ids)), label_ids][:, None]
    earlier = np.arange(probabilities.shape[1]) < label_ids[:, None]
    ranks: Counts = np.sum((probabilities > own) | (probabilities == own) & earlier, axis=1)
    return ranks


def _histogram_bins(scores: Scores) -> Counts:
    return np.minimum(scores.astype(np.float64) * HISTOGRAM_BINS, HISTOGRAM_BINS - 1).astype(
        np.int64
    )
