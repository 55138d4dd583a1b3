"""Sums over rows, by groups of rows. All are integers: their order does not matter."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NUM_GROUPS = 256
CALIBRATION_BINS = 15  # as in Guo et al. 2017
FIXED_POINT_ONE = 2**30  # represents 1 in sums of fractions

_MAX_SCORE_BINS = 1024  # over all classes, but at least
_MIN_SCORE_BINS = 16  # per class
_MIN_SCORE = 2.0**-24  # the distance of the largest float32 below 1

Array = npt.NDArray[Any]
Ids = npt.NDArray[Any]  # (N,) integers
Flags = npt.NDArray[np.bool_]
Fractions = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


class GroupSums(NamedTuple):
    """Sums for one or more samples of rows, such as groups or bootstrap replicates.

    The leading axes run over the samples. Losses, Brier scores and confidences are in units of
    1 / FIXED_POINT_ONE.
    """

    class_counts: Array  # (..., 3, classes): hits, rows with that label, rows with that prediction
    losses: Array  # (..., 2): cross-entropies in nats, Brier scores
    # (..., 3, CALIBRATION_BINS): rows, rows whose most probable class is right, confidences
    calibration: Array
    # (..., 2, curves, score bins): rows not of the class, rows of it; the lowest score first
    binned_scores: Array

    def total(self) -> GroupSums:
        """Add up along the first axis."""
        return GroupSums(*(sums.sum(axis=0) for sums in self))


def count_by_class(groups: Ids, label_ids: Ids, predictions: Ids, num_classes: int) -> Counts:
    shape, is_hit = (NUM_GROUPS, num_classes), label_ids == predictions
    hits = count_cells(shape, groups[is_hit], label_ids[is_hit])
    return np.stack(
        [hits, count_cells(shape, groups, label_ids), count_cells(shape, groups, predictions)],
        axis=1,
    )


def sum_losses(
    groups: Ids, cross_entropies: Fractions, scores: Scores, is_positive: Flags
) -> Counts:
    """Sum cross-entropies and Brier scores by group.

    Args:
        groups: (N,) group of each row.
        cross_entropies: (N,) in nats.
        scores: (N, curves) the score of each class that has a curve. For two classes only one has,
            as in scikit-learn's Brier score.
        is_positive: (N, curves) whether the row is of the class.
    """
    brier = ((scores - is_positive.astype(np.float64)) ** 2).sum(axis=1)
    sums = [_sum_cells((NUM_GROUPS,), values, groups) for values in (cross_entropies, brier)]
    return np.stack(sums, axis=1)


def sum_calibration(groups: Ids, confidences: Scores, is_correct: Flags) -> Counts:
    """Sum rows, hits and confidences by group and bin of confidence.

    Args:
        groups: (N,) group of each row.
        confidences: (N,) the probability of the most probable class.
        is_correct: (N,) whether that class is the label.
    """
    confidence = confidences.astype(np.float64)
    # A bin includes its upper edge, as in the paper.
    bins = np.maximum(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0)
    shape = (NUM_GROUPS, CALIBRATION_BINS)
    rows = count_cells(shape, groups, bins)
    hits = count_cells(shape, groups[is_correct], bins[is_correct])
    return np.stack([rows, hits, _sum_cells(shape, confidence, groups, bins)], axis=1)


def count_binned_scores(groups: Ids, scores: Scores, is_positive: Flags) -> npt.NDArray[np.int32]:
    """Count rows by group, side, curve and bin of the log odds.

    Log odds, because the scores of a confident network crowd near 0 and 1, where order matters.
    """
    curves = scores.shape[1]
    bins = max(_MIN_SCORE_BINS, _MAX_SCORE_BINS // curves)
    clipped = np.clip(scores.astype(np.float64), _MIN_SCORE, 1 - _MIN_SCORE)
    log_odds = np.log(clipped / (1 - clipped)) / np.log(1 / _MIN_SCORE - 1)  # -1 to 1
    bin_ids = np.minimum(((log_odds + 1) / 2 * bins).astype(np.int64), bins - 1)
    index = np.broadcast_arrays(groups[:, None], is_positive, np.arange(curves), bin_ids)
    counts = count_cells((NUM_GROUPS, 2, curves, bins), *(axis.ravel() for axis in index))
    return counts.astype(np.int32)


def count_cells(shape: tuple[int, ...], *index: npt.NDArray[Any]) -> Counts:
    """Count how often each cell of an array of `shape` occurs in `index`, an array per axis."""
    flat = np.ravel_multi_index([axis.astype(np.int64) for axis in index], shape)
    return np.bincount(flat, minlength=math.prod(shape)).reshape(shape)


def _sum_cells(shape: tuple[int, ...], values: Fractions, *index: Ids) -> Counts:
    sums = np.zeros(math.prod(shape), np.int64)
    np.add.at(
        sums, np.ravel_multi_index(index, shape), np.rint(values * FIXED_POINT_ONE).astype(np.int64)
    )
    return sums.reshape(shape)
