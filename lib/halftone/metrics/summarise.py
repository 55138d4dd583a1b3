"""The metrics of predictions, as metrics.json holds them, from an accumulator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone.metrics import bootstrap, point_estimates, score_counts, thresholds
from halftone.metrics.accumulator import HISTOGRAM_BINS, MetricsAccumulator
from halftone.metrics.group_sums import CALIBRATION_BINS, FIXED_POINT_ONE, Array
from halftone.metrics.model import (
    CalibrationBin,
    ClassMetrics,
    ConfusionMetrics,
    DecisionThreshold,
    Interval,
    MeanMetrics,
    MetricCurves,
    Metrics,
    Point,
    ScoreHistogram,
)
from halftone.metrics.point_estimates import AREA_METRICS

_Z = 1.959964  # normal quantile of the 95 % interval
_EDGE_DIGITS = 6  # decimal places of bin edges
# Points of a curve, up to 20 classes; all curves of more classes have as many points as 20 curves.
_MAX_POINTS = 201
_MIN_POINTS = 21


def summarise(
    accumulator: MetricsAccumulator,
    labels: Sequence[str],
    *,
    top_ks: Sequence[int] = (2, 5),
    threshold: float = thresholds.DEFAULT_THRESHOLD,
    rule: str = "0.5",
    temperature: float = 1.0,
    replicates: int = 1000,
) -> Metrics:
    """Compute all metrics of the rows in an accumulator.

    Loss, Brier score, calibration and areas depend on the probabilities alone, not on the
    threshold.

    Args:
        accumulator: counts, made with the same `threshold`.
        labels: the classes, in the order of their ids.
        top_ks: for more than two classes; values below the number of classes are used.
        threshold: between two classes.
        rule: how the threshold was chosen.
        temperature: by which the probabilities were scaled.
        replicates: number of bootstrap samples.

    Raises:
        ValueError: the accumulator has no rows.
    """
    by_count = confusion_metrics(accumulator.confusion, labels)
    binary = by_count.is_binary
    class_curves = list(_curves_by_class(accumulator, binary))
    areas = np.array([(curves.roc_auc, curves.pr_auc) for curves in class_curves])  # (classes, 2)
    exact = {
        **point_estimates.estimate_metrics(accumulator.group_sums.total()),
        **dict(zip(AREA_METRICS, areas[1] if binary else point_estimates.nan_mean(areas.T))),
    }
    per_class = {
        label: values.model_copy(
            update={
                "roc_auc": _nan_to_none(curves.roc_auc),
                "pr_auc": _nan_to_none(curves.pr_auc),
            }
        )
        for (label, values), curves in zip(by_count.per_class.items(), class_curves)
    }
    return Metrics(
        **{**dict(by_count), "per_class": per_class},
        loss=float(exact["loss"]),
        brier=_nan_to_none(exact["brier"]),
        ece=_nan_to_none(exact["ece"]),
        roc_auc=_nan_to_none(exact["roc_auc"]),
        pr_auc=_nan_to_none(exact["pr_auc"]),
        top_k=_top_k_accuracy(accumulator, () if binary else top_ks),
        intervals={
            **bootstrap.intervals(accumulator.group_sums, exact, replicates),
            **_wilson_intervals(accumulator.confusion, binary),
        },
        threshold=DecisionThreshold(value=threshold, rule=rule) if binary else None,
        temperature=temperature,
        curves=_metric_curves(accumulator, class_curves, labels),
    )


def confusion_metrics(confusion: npt.ArrayLike, labels: Sequence[str]) -> ConfusionMetrics:
    """Compute the metrics that follow from a confusion matrix alone.

    With two classes, precision, recall and F1 are those of the second class, whose probability the
    network outputs. With more, they are means over all classes that occur. A ratio with a
    denominator of 0 is 0.

    Args:
        confusion: (classes, classes) counts, rows by label and columns by prediction.

    Raises:
        ValueError: all counts are 0.
    """
    counts = np.asarray(confusion)
    if not counts.any():
        raise ValueError("metrics of no rows")
    by_class = np.stack([counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)])
    columns = {
        **point_estimates.precision_recall_f1(by_class),
        "support": by_class[1],
        "predicted": by_class[2],
    }
    per_class = {
        label: ClassMetrics(**{name: column[class_id].item() for name, column in columns.items()})
        for class_id, label in enumerate(labels)
    }
    macro, weighted = (
        MeanMetrics(**{name: value.item() for name, value in means.items()})
        for means in point_estimates.macro_and_weighted_means(by_class)
    )
    binary = len(labels) == 2
    headline = per_class[labels[1]] if binary else macro
    return ConfusionMetrics(
        rows=int(counts.sum()),
        accuracy=float(by_class[0].sum() / counts.sum()),
        precision=headline.precision,
        recall=headline.recall,
        f1=headline.f1,
        average=f"class {labels[1]}" if binary else "mean of all classes",
        labels=list(labels),
        confusion=counts.tolist(),
        per_class=per_class,
        macro=macro,
        weighted=weighted,
    )


def wilson_interval(correct: int, rows: int) -> Interval:
    """Return the 95 % interval of a share, after Wilson (1927); valid near 0 and 1 too.

    The interval for no rows is 0 to 1.
    """
    if not rows:
        return 0.0, 1.0
    share, z2 = correct / rows, _Z**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z / (1 + z2 / rows) * (share * (1 - share) / rows + z2 / (4 * rows**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _wilson_intervals(confusion: npt.NDArray[np.int64], is_binary: bool) -> dict[str, Interval]:
    hits = confusion.diagonal().tolist()
    shares = {"accuracy": (sum(hits), int(confusion.sum()))}
    if is_binary:
        shares["precision"] = hits[1], int(confusion[:, 1].sum())
        shares["recall"] = hits[1], int(confusion[1].sum())
    return {name: wilson_interval(*share) for name, share in shares.items()}


class _ClassCurves(NamedTuple):
    """Areas and curves of one class against the rest; NaN and no points if one side is empty."""

    roc_auc: float
    pr_auc: float
    roc: list[Point]
    pr: list[Point]


def _curves_by_class(accumulator: MetricsAccumulator, is_binary: bool) -> Iterator[_ClassCurves]:
    """Yield the curves class by class: exact scores of all classes at once would take memory."""
    max_points = max(
        _MIN_POINTS, min(_MAX_POINTS, 20 * _MAX_POINTS // len(accumulator.score_counts))
    )
    for scores in accumulator.score_counts:
        positives, negatives = scores.split_by_class()
        if is_binary:  # the score of the first class is 1 minus that of the second
            yield _class_curves(negatives[::-1], positives[::-1], max_points)
        yield _class_curves(positives, negatives, max_points)


def _class_curves(
    positives: score_counts.CountsByScore, negatives: score_counts.CountsByScore, max_points: int
) -> _ClassCurves:
    both = positives.any() and negatives.any()
    return _ClassCurves(
        score_counts.roc_auc(positives, negatives).item(),
        score_counts.average_precision(positives, negatives).item(),
        *(score_counts.roc_and_pr_curves(positives, negatives, max_points) if both else ([], [])),
    )


def _metric_curves(
    accumulator: MetricsAccumulator, class_curves: Sequence[_ClassCurves], labels: Sequence[str]
) -> MetricCurves:
    binary = len(labels) == 2
    # Of two classes only the second has a curve: that of the first mirrors it.
    shown = list(zip(labels, class_curves))[1 if binary else 0 :]
    groups = labels if binary else ("wrong", "right")
    return MetricCurves(
        roc={label: curves.roc for label, curves in shown if curves.roc},
        pr={label: curves.pr for label, curves in shown if curves.pr},
        calibration=_calibration_bins(accumulator.group_sums.total().calibration),
        scores=ScoreHistogram(
            edges=np.linspace(0, 1, HISTOGRAM_BINS + 1).round(_EDGE_DIGITS).tolist(),
            counts=dict(zip(groups, accumulator.score_histogram.tolist())),
        ),
    )


def _top_k_accuracy(accumulator: MetricsAccumulator, ks: Sequence[int]) -> dict[str, float]:
    shares = np.cumsum(accumulator.label_ranks) / accumulator.label_ranks.sum()
    return {str(k): shares[k - 1].item() for k in ks if k < len(shares)}


def _calibration_bins(calibration: Array) -> list[CalibrationBin]:
    return [
        CalibrationBin(
            low=round(number / CALIBRATION_BINS, _EDGE_DIGITS),
            high=round((number + 1) / CALIBRATION_BINS, _EDGE_DIGITS),
            rows=rows,
            confidence=confidence / FIXED_POINT_ONE / rows if rows else None,
            accuracy=right / rows if rows else None,
        )
        for number, (rows, right, confidence) in enumerate(calibration.T.tolist())
    ]


def _nan_to_none(value: float) -> Optional[float]:
    return None if np.isnan(value) else float(value)
