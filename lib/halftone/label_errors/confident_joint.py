"""Confident learning: which labels are probably wrong, and how many.

The method is that of Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in
Dataset Labels" (JAIR 2021), section 3. It needs two passes over the rows, and only sums over them:
the threshold of each class, and then a count of rows for each pair of classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float32]  # (N, K)
ClassIds = npt.NDArray[np.integer[Any]]  # (N,)
NO_CLASS = -1
# A probability this little below a threshold reaches it. Thresholds are means: without it, rounding
# would decide about the rows of a class whose probabilities are all equal. cleanlab has the same.
_TOLERANCE = 1e-6
# A class whose rows all have a probability of 0 must not be confident everywhere.
_MIN_THRESHOLD = 2 * _TOLERANCE
# Of a class without rows: no probability reaches it.
_NO_THRESHOLD = 2.0


class JudgedRows(NamedTuple):
    """What the probabilities say about the labels of N rows."""

    confident: ClassIds  # the class that the row is confidently of, or NO_CLASS
    suggested: ClassIds  # the most probable class besides the label
    label_probability: npt.NDArray[np.float32]
    suggested_probability: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float64]  # -1 to 1, the difference of both
    is_issue: npt.NDArray[np.bool_]


def class_thresholds(
    num_rows: npt.NDArray[np.int64], sums: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the threshold of each class: the mean probability of the class over its rows (eq. 2).

    Args:
        num_rows: (K,) rows with each label.
        sums: (K,) sums of the probability of the label over these rows.

    Returns:
        (K,) thresholds; above 1 for a class without rows.
    """
    means = np.maximum(sums / np.maximum(num_rows, 1), _MIN_THRESHOLD)
    return np.where(num_rows > 0, means, _NO_THRESHOLD)


def judge_rows(
    label_ids: ClassIds, probabilities: Probabilities, thresholds: npt.NDArray[np.float64]
) -> JudgedRows:
    """Compare the label of each row with its probabilities.

    A row is confidently of the most probable one of the classes whose thresholds its probabilities
    reach (eq. 1). It is an issue if this is another class than its label, which then is off the
    diagonal of the confident joint, unless the label is its most probable class: as in cleanlab,
    a label that the model predicts itself is no issue, however low the threshold of another class.

    Args:
        label_ids: (N,) indices of classes.
        probabilities: (N, K) of rows that the model was not trained on; K is at least 2.
        thresholds: (K,), see `class_thresholds`.
    """
    rows = np.arange(len(label_ids))
    reached = np.where(probabilities >= thresholds - _TOLERANCE, probabilities, -1.0)
    confident = reached.argmax(axis=1)
    confident = np.where(reached[rows, confident] < 0, NO_CLASS, confident)
    others = probabilities.copy()
    others[rows, label_ids] = -1.0
    suggested = others.argmax(axis=1)
    label_probability, suggested_probability = (
        probabilities[rows, ids] for ids in (label_ids, suggested)
    )
    margin = label_probability.astype(np.float64) - suggested_probability
    is_off_diagonal = (confident != NO_CLASS) & (confident != label_ids)
    return JudgedRows(
        *(confident, suggested, label_probability, suggested_probability, margin),
        is_off_diagonal & (margin < -_TOLERANCE),
    )


def calibrate_joint(
    confident_joint: npt.NDArray[np.int64], num_rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the estimated number of rows for each label and true class (eq. 3).

    Each row of the confident joint is scaled to the number of rows with that label. As in cleanlab,
    at least one row of each label counts as right.

    Args:
        confident_joint: (K, K) rows by label and confident class.
        num_rows: (K,) rows with each label.
    """
    counts = confident_joint.astype(np.float64)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    return np.asarray(counts / counts.sum(axis=1, keepdims=True) * num_rows[:, None])
