"""What follows from sums alone: estimates of the sample, or of many samples at once."""

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
        by_class: as in Sums.
    """
    hits, support, predicted = np.moveaxis(class_counts, -2, 0)
    return {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + predicted),
    }


def macro_and_weighted_means(class_counts: Array) -> tuple[Estimates, Estimates]:
    """Return precision, recall and F1 as plain means and as means weighted by the labels' rows.

    Over the classes that occur in label or prediction.
    """
    _, support, predicted = np.moveaxis(class_counts, -2, 0)
    occurs = support + predicted > 0
    values = precision_recall_f1(class_counts)
    macro = {name: ratio(each.sum(-1), occurs.sum(-1)) for name, each in values.items()}
    weighted = {
        name: ratio((each * support).sum(-1), support.sum(-1)) for name, each in values.items()
    }
    return macro, weighted


def estimate_metrics(group_sums: GroupSums) -> Estimates:
    """Compute what has an interval; (...) float64 each.

    Areas are those of binned scores, NaN where no class has rows on both sides. Of two classes,
    precision, recall and F1 are those of the second one; of more they are means.
    """
    hits, support, _ = np.moveaxis(group_sums.class_counts, -2, 0)
    macro, _ = macro_and_weighted_means(group_sums.class_counts)
    binary = group_sums.class_counts.shape[-1] == 2
    second = {
        name: each[..., 1] for name, each in precision_recall_f1(group_sums.class_counts).items()
    }
    rows = support.sum(-1)
    others, ours = np.moveaxis(group_sums.binned_scores[..., ::-1], -3, 0)
    return {
        "accuracy": ratio(hits.sum(-1), rows),
        **(second if binary else macro),
        "macro_f1": macro["f1"],
        "loss": ratio(group_sums.losses[..., 0], rows * FIXED_POINT_ONE),
        "brier": ratio(group_sums.losses[..., 1], rows * FIXED_POINT_ONE),
        "ece": np.abs(calibration_gaps(group_sums.calibration)).sum(-1),
        "roc_auc": nan_mean(score_counts.roc_auc(ours, others)),
        "pr_auc": nan_mean(score_counts.average_precision(ours, others)),
    }


def calibration_gaps(calibration_sums: Array) -> npt.NDArray[np.float64]:
    """Accuracy minus confidence in each bin, times its share of all rows: (..., BINS).

    Their absolute values add up to the expected calibration error of Guo et al. 2017, section 2.
    """
    rows, right, confidence = np.moveaxis(calibration_sums, -2, 0)
    return ratio(right - confidence / FIXED_POINT_ONE, rows.sum(-1, keepdims=True))


def ratio(numerator: Array, denominator: Array) -> npt.NDArray[np.float64]:
    """Divide; 0 where there is nothing below the line."""
    return np.where(denominator > 0, numerator / np.maximum(1, denominator), 0.0)


def nan_mean(values: Array) -> npt.NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where all is."""
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(1, count), np.nan)
