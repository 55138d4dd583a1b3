"""Decision rules: the threshold between two classes, and how to fit it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from halftone.errors import InputError
from halftone.metrics import score_counts

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
    """Counts for each distinct threshold, the highest first."""

    thresholds: npt.NDArray[np.float64]  # each between two consecutive scores
    hits: npt.NDArray[np.int64]  # rows of class 1 at or above the threshold
    predicted: npt.NDArray[np.int64]  # all rows at or above the threshold


def best_f1_threshold(label_ids: npt.NDArray[Any], p1: npt.NDArray[np.float32]) -> float:
    """Return the threshold with the largest F1 of class 1 on these rows; of ties the highest.

    Args:
        label_ids: (N,) integers, 0 or 1.
        p1: (N,) float32, the probability of class 1.

    Raises:
        InputError: no row is of class 1.
    """
    counts = _count_by_threshold(label_ids, p1)
    positives = int(np.count_nonzero(label_ids))
    if not positives:
        raise InputError(
            f"none of the {len(p1)} rows is of class 1, so no threshold is the best for F1; give "
            f"rows of both classes, or stay with {DEFAULT_THRESHOLD}"
        )
    f1 = 2 * counts.hits / (positives + counts.predicted)
    return float(counts.thresholds[f1.argmax()])


def precision_threshold(
    label_ids: npt.NDArray[Any], p1: npt.NDArray[np.float32], min_precision: float
) -> float:
    """Return the lowest threshold with a precision of class 1 of `min_precision` or more.

    Args:
        label_ids: (N,) integers, 0 or 1.
        p1: (N,) float32, the probability of class 1.
        min_precision: 0 to 1, on these rows.

    Raises:
        InputError: no threshold reaches it; the message names the best one.
    """
    counts = _count_by_threshold(label_ids, p1)
    precision = counts.hits / counts.predicted
    sufficient = np.flatnonzero(precision >= min_precision)
    if len(sufficient):
        return float(counts.thresholds[sufficient[-1]])
    if not len(precision):
        raise InputError(
            f"no threshold can be chosen for a precision of {min_precision} from no rows"
        )
    best = int(precision.argmax())
    raise InputError(
        f"no threshold reaches a precision of {min_precision} on these {len(p1)} rows; the best is "
        f"{precision[best]:.4f}, at {counts.thresholds[best]:.4f} with {counts.predicted[best]} "
        "rows above it. Ask for that or less, or train a better model"
    )


def _count_by_threshold(
    label_ids: npt.NDArray[Any], p1: npt.NDArray[np.float32]
) -> _ThresholdCounts:
    scores = np.unique(p1)[::-1].astype(np.float64)
    counts = score_counts.count_scores(p1, label_ids == 1, max_codes=2 * len(p1))
    hits, others = map(np.cumsum, counts.split_by_class())
    return _ThresholdCounts((scores + np.append(scores[1:], 0.0)) / 2, hits, hits + others)
