"""Sums over rows, by groups of rows, in whole numbers: they add up to the same in every order."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

GROUPS = 256
BINS = 15  # of the calibration, as in Guo et al. 2017
ONE = 2**30  # stands for 1 in sums of fractions

_SCORE_BINS = 1024  # over all classes, but
_LEAST_SCORE_BINS = 16  # a class
_LEAST_SCORE = 2.0**-24  # no float32 is nearer to 1 than this

Array = npt.NDArray[Any]
Ids = npt.NDArray[Any]  # (N,) integers
Flags = npt.NDArray[np.bool_]
Fractions = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


class Sums(NamedTuple):
    """Of the rows in each group; or of another sample, or of many, by the axes in front.

    Losses, Brier scores and confidences are in units of 1 / ONE.
    """

    by_class: Array  # (..., 3, classes): hits, rows with that label, rows with that prediction
    losses: Array  # (..., 2): cross-entropies in nats, Brier scores
    calibration: Array  # (..., 3, BINS): rows, rows where the most probable is right, confidences
    scores: Array  # (..., 2, curves, score bins): rows not of the class, rows of it; lowest first

    def total(self) -> Sums:
        """Add up along the first axis."""
        return Sums(*(each.sum(axis=0) for each in self))


def by_class(groups: Ids, label_ids: Ids, predictions: Ids, classes: int) -> Counts:
    shape, hit = (GROUPS, classes), label_ids == predictions
    hits = count(shape, groups[hit], label_ids[hit])
    return np.stack(
        [hits, count(shape, groups, label_ids), count(shape, groups, predictions)], axis=1
    )


def losses(groups: Ids, cross_entropies: Fractions, scores: Scores, of_class: Flags) -> Counts:
    """Args:
    scores, of_class: (N, curves), the score of each class that has a curve, and whether the row
        is of it. Of two classes only one counts, as in scikit-learn's Brier score.
    """
    brier = ((scores - of_class.astype(np.float64)) ** 2).sum(axis=1)
    sums = [_sum((GROUPS,), each, groups) for each in (cross_entropies, brier)]
    return np.stack(sums, axis=1)


def calibration(groups: Ids, top: Scores, right: Flags) -> Counts:
    """Count rows by `top`, (N,), the probability of the most probable class."""
    confidence = top.astype(np.float64)
    # A bin holds its upper edge, as in the paper.
    bins = np.maximum(np.ceil(confidence * BINS).astype(np.int64) - 1, 0)
    shape = (GROUPS, BINS)
    rows = count(shape, groups, bins)
    hits = count(shape, groups[right], bins[right])
    return np.stack([rows, hits, _sum(shape, confidence, groups, bins)], axis=1)


def binned_scores(groups: Ids, scores: Scores, of_class: Flags) -> npt.NDArray[np.int32]:
    """Count by log odds: a sure network's scores crowd near 0 and 1, and their order matters."""
    curves = scores.shape[1]
    bins = max(_LEAST_SCORE_BINS, _SCORE_BINS // curves)
    inner = np.clip(scores.astype(np.float64), _LEAST_SCORE, 1 - _LEAST_SCORE)
    odds = np.log(inner / (1 - inner)) / np.log(1 / _LEAST_SCORE - 1)  # -1 to 1
    places = np.minimum(((odds + 1) / 2 * bins).astype(np.int64), bins - 1)
    index = np.broadcast_arrays(groups[:, None], of_class, np.arange(curves), places)
    counts = count((GROUPS, 2, curves, bins), *(part.ravel() for part in index))
    return counts.astype(np.int32)


def count(shape: tuple[int, ...], *index: npt.NDArray[Any]) -> Counts:
    """Count how often each place of an array of `shape` is named; an index array for each axis."""
    flat = np.ravel_multi_index([part.astype(np.int64) for part in index], shape)
    return np.bincount(flat, minlength=math.prod(shape)).reshape(shape)


def _sum(shape: tuple[int, ...], values: Fractions, *index: Ids) -> Counts:
    sums = np.zeros(math.prod(shape), np.int64)
    np.add.at(sums, np.ravel_multi_index(index, shape), np.rint(values * ONE).astype(np.int64))
    return sums.reshape(shape)
