"""Decision rules: the threshold between two classes, and how to fit it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional, TypeVar

import numpy as np
import numpy.typing as npt

from halftone.errors import InputError
from halftone.metrics.score_counts import ScoreCounts

Item = TypeVar("Item")

DEFAULT_THRESHOLD = 0.5


def predict_classes(
    probabilities: npt.NDArray[np.float32], threshold: float = DEFAULT_THRESHOLD
) -> npt.NDArray[np.int64]:
    """Return the class of each row, (N,) int64.

    Of two classes, the second if its probability is at least `threshold`. Of more, the most
    probable; of equally probable classes the first.

    Args:
        probabilities: (N, classes) float32.
        threshold: between two classes; not used for more.
    """
    if probabilities.shape[1] == 2:
        # In float32, a threshold halfway between two scores would be rounded to one of them.
        chosen = probabilities[:, 1].astype(np.float64) >= threshold
    else:
        chosen = probabilities.argmax(axis=1)
    return chosen.astype(np.int64)


class _ThresholdCounts(NamedTuple):
    """Counts for consecutive thresholds, the highest first."""

    thresholds: npt.NDArray[np.float64]  # each between two consecutive scores
    hits: npt.NDArray[np.int64]  # rows of class 1 at or above the threshold
    predicted: npt.NDArray[np.int64]  # all rows at or above the threshold


def best_f1_threshold(score_ranges: Iterable[ScoreCounts], num_positives: int) -> float:
    """Return the threshold with the largest F1 of class 1; of ties the highest.

    Args:
        score_ranges: counts of the rows by their probability of class 1, exact. They come from
            ranges of that probability that do not overlap, the highest first, and are consumed one
            at a time.
        num_positives: all rows of class 1.

    Raises:
        InputError: no row is of class 1.
    """
    best_f1, best, num_rows = -1.0, 0.0, 0
    for counts in _iter_thresholds(score_ranges):
        f1 = 2 * counts.hits / np.maximum(1, num_positives + counts.predicted)
        index = int(f1.argmax())
        if f1[index] > best_f1:
            best_f1, best = float(f1[index]), float(counts.thresholds[index])
        num_rows = int(counts.predicted[-1])
    if not num_positives:
        raise InputError(
            f"none of the {num_rows} rows is of class 1, so no threshold is the best for F1; give "
            f"rows of both classes, or stay with {DEFAULT_THRESHOLD}"
        )
    return best


def precision_threshold(score_ranges: Iterable[ScoreCounts], min_precision: float) -> float:
    """Return the lowest threshold with a precision of class 1 of `min_precision` or more.

    Args:
        score_ranges: as for `best_f1_threshold`.
        min_precision: 0 to 1, on these rows.

    Raises:
        InputError: no threshold reaches it; the message names the best one.
    """
    lowest: Optional[float] = None
    best_precision, best, num_above, num_rows = -1.0, 0.0, 0, 0
    for counts in _iter_thresholds(score_ranges):
        precision = counts.hits / counts.predicted
        sufficient = np.flatnonzero(precision >= min_precision)
        if len(sufficient):
            lowest = float(counts.thresholds[sufficient[-1]])
        index = int(precision.argmax())
        if precision[index] > best_precision:
            best_precision, best = float(precision[index]), float(counts.thresholds[index])
            num_above = int(counts.predicted[index])
        num_rows = int(counts.predicted[-1])
    if lowest is not None:
        return lowest
    if not num_rows:
        raise InputError(
            f"no threshold can be chosen for a precision of {min_precision} from no rows"
        )
    raise InputError(
        f"no threshold reaches a precision of {min_precision} on these {num_rows} rows; the best "
        f"is {best_precision:.4f}, at {best:.4f} with {num_above} rows above it. Ask for that or "
        "less, or train a better model"
    )


def _iter_thresholds(score_ranges: Iterable[ScoreCounts]) -> Iterator[_ThresholdCounts]:
    hits_before = predicted_before = 0
    for counts, next_counts in _with_next(counts for counts in score_ranges if len(counts.codes)):
        scores = counts.scores().astype(np.float64)
        # Below the lowest score of all the next one is 0.
        next_score = float(next_counts.scores()[0]) if next_counts is not None else 0.0
        positives, negatives = counts.split_by_class()
        hits = hits_before + np.cumsum(positives)
        predicted = predicted_before + np.cumsum(positives + negatives)
        yield _ThresholdCounts((scores + np.append(scores[1:], next_score)) / 2, hits, predicted)
        hits_before, predicted_before = int(hits[-1]), int(predicted[-1])


def _with_next(items: Iterable[Item]) -> Iterator[tuple[Item, Optional[Item]]]:
    """Yield each item with the next one; the last one with None."""
    iterator = iter(items)
    current = next(iterator, None)
    while current is not None:
        following = next(iterator, None)
        yield current, following
        current = following
