"""Sums over rows, by groups of rows, in whole numbers: they add up to the same in every order."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NUM_GROUPS = 256
CALIBRATION_BINS = 15  # of the calibration, as in Guo et al. 2017
FIXED_POINT_ONE = 2**30  # stands for 1 in sums of fractions

_MAX_SCORE_BINS = 1024  # over all classes, but
_MIN_SCORE_BINS = 16  # a class
_MIN_SCORE = 2.0**-24  # no float32 is nearer to 1 than this

Array = npt.NDArray[Any]
Ids = npt.NDArray[Any]  # (N,) integers
Flags = npt.NDArray[np.bool_]
Fractions = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


class GroupSums(NamedTuple):
    """Of the rows in each group; or of another sample, or of many, by the axes in front.

    Losses, Brier scores and confidences are in units of 1 / ONE.
    """

    class_counts: Array  # (..., 3, classes): hits, rows with that label, rows with that prediction
    losses: Array  # (..., 2): cross-entropies in nats, Brier scores
    calibration: Array  # (..., 3, BINS): rows, rows where the most probable is right, confidences
    binned_scores: (
        Array  # (..., 2, curves, score bins): rows not of the class, rows of it; lowest first
    )

    def total(self) -> GroupSums:
        """Add up along the first axis."""
        return GroupSums(*(each.sum(axis=0) for each in self))


def count_by_class(groups: Ids, label_ids: Ids, predictions: Ids, num_classes: int) -> Counts:
    shape, hit = (NUM_GROUPS, num_classes), label_ids == predictions
    hits = count_cells(shape, groups[hit], label_ids[hit])
    return np.stack(
        [hits, count_cells(shape, groups, label_ids), count_cells(shape, groups, predictions)],
        axis=1,
    )


def sum_losses(
    groups: Ids, cross_entropies: Fractions, scores: Scores, is_positive: Flags
) -> Counts:
    """Args:
    scores, of_class: (N, curves), the score of each class that has a curve, and whether the row
        is of it. Of two classes only one counts, as in scikit-learn's Brier score.
    """
    brier = ((scores - is_positive.astype(np.float64)) ** 2).sum(axis=1)
    sums = [_sum_cells((NUM_GROUPS,), each, groups) for each in (cross_entropies, brier)]
    return np.stack(sums, axis=1)


def sum_calibration(groups: Ids, confidences: Scores, is_correct: Flags) -> Counts:
    """Count rows by `top`, (N,), the probability of the most probable class."""
    confidence = confidences.astype(np.float64)
    # A bin holds its upper edge, as in the paper.
    bins = np.maximum(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0)
    shape = (NUM_GROUPS, CALIBRATION_BINS)
    rows = count_cells(shape, groups, bins)
    hits = count_cells(shape, groups[is_correct], bins[is_correct])
    return np.stack([rows, hits, _sum_cells(shape, confidence, groups, bins)], axis=1)


def count_binned_scores(groups: Ids, scores: Scores, is_positive: Flags) -> npt.NDArray[np.int32]:
    """Count by log odds: a sure network's scores crowd near 0 and 1, and their order matters."""
    curves = scores.shape[1]
    bins = max(_MIN_SCORE_BINS, _MAX_SCORE_BINS // curves)
    inner = np.clip(scores.astype(np.float64), _MIN_SCORE, 1 - _MIN_SCORE)
    odds = np.log(inner / (1 - inner)) / np.log(1 / _MIN_SCORE - 1)  # -1 to 1
    places = np.minimum(((odds + 1) / 2 * bins).astype(np.int64), bins - 1)
    index = np.broadcast_arrays(groups[:, None], is_positive, np.arange(curves), places)
    counts = count_cells((NUM_GROUPS, 2, curves, bins), *(part.ravel() for part in index))
    return counts.astype(np.int32)


def count_cells(shape: tuple[int, ...], *index: npt.NDArray[Any]) -> Counts:
    """Count how often each place of an array of `shape` is named; an index array for each axis."""
    flat = np.ravel_multi_index([part.astype(np.int64) for part in index], shape)
    return np.bincount(flat, minlength=math.prod(shape)).reshape(shape)


def _sum_cells(shape: tuple[int, ...], values: Fractions, *index: Ids) -> Counts:
    sums = np.zeros(math.prod(shape), np.int64)
    np.add.at(
        sums, np.ravel_multi_index(index, shape), np.rint(values * FIXED_POINT_ONE).astype(np.int64)
    )
    return sums.reshape(shape)
