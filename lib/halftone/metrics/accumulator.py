"""Counts and sums of predictions: of fixed size, and accumulators can be added.

Rows are never collected. All sums are integers, so the result does not depend on the order of rows
or on how they are split into files. Sums are kept for each of 256 groups of rows; intervals are
estimated from the differences between groups (see bootstrap.py).

An accumulator holds exact scores, 8 bytes per class and distinct score (for two classes, one
class): 80 MB for 1,000,000 rows of 10 classes, and at most 134 MB (see score_counts.py). The rest
is 2 to 3 MB for up to 64 classes, and 47 MB for 1,000.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, TypeVar

import numpy as np

from halftone.errors import InputError
from halftone.metrics import group_sums, score_counts, thresholds
from halftone.metrics.group_sums import Counts, Fractions, GroupSums, Ids, Scores, count_cells
from halftone.metrics.score_counts import ScoreCounts

Summand = TypeVar("Summand")

HISTOGRAM_BINS = 40
MAX_SCORES = 1 << 24  # distinct scores that are kept exactly, over all classes


@dataclass(frozen=True, eq=False)
class MetricsAccumulator:
    """Add two with `+`, many with `sum_pairwise`. Two classes have one curve, of the second."""

    confusion: Counts  # (classes, classes): rows by label, columns by prediction
    label_ranks: Counts  # (classes,): rows whose label is the most probable class, the second, ...
    # (2, HISTOGRAM_BINS): two classes: rows by label and probability of the second class; more
    # classes: wrong and right rows by the highest probability.
    score_histogram: Counts
    group_sums: GroupSums  # (NUM_GROUPS, ...) each
    score_counts: tuple[ScoreCounts, ...]  # one per curve

    def __add__(self, other: MetricsAccumulator) -> MetricsAccumulator:
        return MetricsAccumulator(
            self.confusion + other.confusion,
            self.label_ranks + other.label_ranks,
            self.score_histogram + other.score_histogram,
            GroupSums(*map(add, self.group_sums, other.group_sums)),
            tuple(map(add, self.score_counts, other.score_counts)),
        )


def sum_pairwise(parts: Iterable[Summand]) -> Summand:
    """Add up one or more accumulators, or what contains one, so that large ones are copied rarely.

    The parts are consumed one at a time; few of their sums are kept.
    """
    sums: list[tuple[int, Any]] = []  # (number of parts, their sum)
    for part in parts:
        size, total = 1, part
        while sums and sums[-1][0] == size:
            size, total = 2 * size, sums.pop()[1] + total
        sums.append((size, total))
    result: Summand = reduce(add, [total for _, total in reversed(sums)])
    return result


def accumulate_rows(
    keys: Sequence[str],
    label_ids: Ids,
    probabilities: Scores,
    losses: Fractions,
    threshold: float = thresholds.DEFAULT_THRESHOLD,
) -> MetricsAccumulator:
    """Return the accumulator of some rows.

    Args:
        keys: N, unique in the whole sample.
        label_ids: (N,) integers.
        probabilities: (N, classes) float32; two classes or more.
        losses: (N,) float64, cross-entropies in nats.
        threshold: the probability from which on a row is of the second of two classes.

    Raises:
        InputError: a probability is not between 0 and 1.
        ValueError: wrong dtypes or shapes.
    """
    _check_arrays(keys, label_ids, probabilities, losses)
    classes = probabilities.shape[1]
    predictions = thresholds.predict_classes(probabilities, threshold)
    confidences = probabilities.max(axis=1)
    is_correct = thresholds.predict_classes(probabilities) == label_ids
    first_class = 1 if classes == 2 else 0  # of the curves
    scores = probabilities[:, first_class:]
    is_positive = label_ids[:, None] == np.arange(first_class, classes)  # (N, curves)
    histogram_of = (label_ids, scores[:, 0]) if classes == 2 else (is_correct, confidences)
    max_codes = MAX_SCORES // scores.shape[1]
    groups = _group_ids(keys)
    return MetricsAccumulator(
        count_cells((classes, classes), label_ids, predictions),
        count_cells((classes,), _label_ranks(label_ids, probabilities)),
        count_cells((2, HISTOGRAM_BINS), histogram_of[0], _histogram_bins(histogram_of[1])),
        GroupSums(
            group_sums.count_by_class(groups, label_ids, predictions, classes),
            group_sums.sum_losses(groups, losses, scores, is_positive),
            group_sums.sum_calibration(groups, confidences, is_correct),
            group_sums.count_binned_scores(groups, scores, is_positive),
        ),
        tuple(
            score_counts.count_scores(*columns, max_codes)
            for columns in zip(scores.T, is_positive.T)
        ),
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
    invalid = np.argwhere(~((probabilities >= 0) & (probabilities <= 1)))
    if len(invalid):
        row, class_id = invalid[0]
        raise InputError(
            f"{keys[row]}: the model gives class {class_id} a probability of "
            f"{probabilities[row, class_id]}, which is not between 0 and 1; train it again"
        )


def _group_ids(keys: Sequence[str]) -> Ids:
    """Return the group of each row, which depends on its key alone."""
    hashes = np.fromiter((zlib.crc32(key.encode()) for key in keys), np.uint32, len(keys))
    # The last step of MurmurHash3: checksums of numbered keys have a pattern, groups must not.
    hashes = (hashes ^ hashes >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ hashes >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return (hashes ^ hashes >> np.uint32(16)).astype(np.int64) % group_sums.NUM_GROUPS


def _label_ranks(label_ids: Ids, probabilities: Scores) -> Counts:
    """Return how many classes rank before the label; of equally probable ones the first wins."""
    of_label = probabilities[np.arange(len(label_ids)), label_ids][:, None]
    is_earlier = np.arange(probabilities.shape[1]) < label_ids[:, None]
    ranks: Counts = np.sum(
        (probabilities > of_label) | (probabilities == of_label) & is_earlier, axis=1
    )
    return ranks


def _histogram_bins(scores: Scores) -> Counts:
    return np.minimum(scores.astype(np.float64) * HISTOGRAM_BINS, HISTOGRAM_BINS - 1).astype(
        np.int64
    )
