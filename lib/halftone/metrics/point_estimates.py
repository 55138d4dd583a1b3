"""Metrics estimated from sums alone, for one sample or for many at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from halftone.metrics import score_counts
from halftone.metrics.group_sums import FIXED_POINT_ONE, Array, GroupSums

AREA_METRICS = ("roc_auc", "pr_auc")

Estimates = dict[str, npt.NDArray[np.float64]]


def precision_recall_f1(class_counts: Array) -> Estimates:
    """Return precision, recall and F1, (..., classes) each.

    Args:
        class_counts: (..., 3, classes), see GroupSums.
    """
    hits, support, predicted = np.moveaxis(class_counts, -2, 0)
    return {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + predicted),
    }


def macro_and_weighted_means(class_counts: Array) -> tuple[Estimates, Estimates]:
    """Return precision, recall and F1 as plain means and as means weighted by rows per label.

    The means are over the classes that occur as label or prediction.

    Args:
        class_counts: (..., 3, classes), see GroupSums.
    """
    _, support, predicted = np.moveaxis(class_counts, -2, 0)
    occurs = support + predicted > 0
    values = precision_recall_f1(class_counts)
    macro = {name: ratio(value.sum(-1), occurs.sum(-1)) for name, value in values.items()}
    weighted = {
        name: ratio((value * support).sum(-1), support.sum(-1)) for name, value in values.items()
    }
    return macro, weighted


def estimate_metrics(group_sums: GroupSums) -> Estimates:
    """Compute the metrics that have an interval; (...) float64 each.

    Areas are computed from binned scores; NaN if no class has rows on both sides. For two classes,
    precision, recall and F1 are those of the second class, for more they are means.
    """
    hits, support, _ = np.moveaxis(group_sums.class_counts, -2, 0)
    macro, _ = macro_and_weighted_means(group_sums.class_counts)
    binary = group_sums.class_counts.shape[-1] == 2
    second_class = {
        name: value[..., 1] for name, value in precision_recall_f1(group_sums.class_counts).items()
    }
    rows = support.sum(-1)
    negatives, positives = np.moveaxis(group_sums.binned_scores[..., ::-1], -3, 0)
    return {
        "accuracy": ratio(hits.sum(-1), rows),
        **(second_class if binary else macro),
        "macro_f1": macro["f1"],
        "loss": ratio(group_sums.losses[..., 0], rows * FIXED_POINT_ONE),
        "brier": ratio(group_sums.losses[..., 1], rows * FIXED_POINT_ONE),
        "ece": np.abs(calibration_gaps(group_sums.calibration)).sum(-1),
        "roc_auc": nan_mean(score_counts.roc_auc(positives, negatives)),
        "pr_auc": nan_mean(score_counts.average_precision(positives, negatives)),
    }


def calibration_gaps(calibration_sums: Array) -> npt.NDArray[np.float64]:
    """Return accuracy minus confidence in each bin, times its share of rows: (..., bins).

    The absolute values add up to the expected calibration error of Guo et al. 2017, section 2.
    """
    rows, hits, confidence = np.moveaxis(calibration_sums, -2, 0)
    return ratio(hits - confidence / FIXED_POINT_ONE, rows.sum(-1, keepdims=True))


def ratio(numerator: Array, denominator: Array) -> npt.NDArray[np.float64]:
    """Divide; 0 if the denominator is 0."""
    return np.where(denominator > 0, numerator / np.maximum(1, denominator), 0.0)


def nan_mean(values: Array) -> npt.NDArray[np.float64]:
    """Return the mean over the last axis without NaNs; NaN if all values are NaN."""
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(1, count), np.nan)
