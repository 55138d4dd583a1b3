"""What predictions are worth, as metrics.json says it: all from a tally."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone.metrics import bootstrap, point_estimates, score_counts, thresholds
from halftone.metrics.accumulator import HISTOGRAM_BINS, MetricsAccumulator
from halftone.metrics.group_sums import CALIBRATION_BINS, FIXED_POINT_ONE, Array
from halftone.metrics.point_estimates import AREA_METRICS

_Z = 1.959964  # of the 95 % interval
_EDGE_DIGITS = 6  # of an edge
_MAX_POINTS = 201  # of a curve, up to 20 classes; of all curves together, no more than those have
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
) -> dict[str, Any]:
    """Return what metrics.json holds from `rows` to `curves`.

    Loss, Brier score, calibration and areas are of the probabilities: no threshold changes them.

    Args:
        top_ks: those below the number of classes are used, of more than two classes.
        threshold: between two classes; the tally was made with it.
        rule: how it was chosen.
        temperature: that the probabilities were scaled with.
        replicates: of the bootstrap.

    Raises:
        ValueError: the tally has no row.
    """
    result = confusion_metrics(accumulator.confusion, labels)
    binary = len(labels) == 2
    whole = accumulator.group_sums.total()
    ranked = list(_curves_by_class(accumulator, binary))
    areas = np.array([(each.roc_auc, each.pr_auc) for each in ranked])  # (classes, 2)
    exact = {
        **point_estimates.estimate_metrics(whole),
        **dict(zip(AREA_METRICS, areas[1] if binary else point_estimates.nan_mean(areas.T))),
    }
    for values, of_class in zip(result["per_class"].values(), ranked):
        values.update(
            {"roc_auc": _nan_to_none(of_class.roc_auc), "pr_auc": _nan_to_none(of_class.pr_auc)}
        )
    return {
        **result,
        **{name: _nan_to_none(exact[name]) for name in ("loss", "brier", "ece", *AREA_METRICS)},
        "top_k": _top_k_accuracy(accumulator, () if binary else top_ks),
        "intervals": {
            **bootstrap.intervals(accumulator.group_sums, exact, replicates),
            **_wilson_intervals(accumulator.confusion, binary),
        },
        "threshold": {"value": threshold, "rule": rule} if binary else None,
        "temperature": temperature,
        "curves": {
            **_curves_by_label(ranked, labels, binary),
            "calibration": _calibration_bins(whole.calibration),
            "scores": {
                "edges": np.linspace(0, 1, HISTOGRAM_BINS + 1).round(_EDGE_DIGITS).tolist(),
                "counts": dict(
                    zip(
                        labels if binary else ("wrong", "right"),
                        accumulator.score_histogram.tolist(),
                    )
                ),
            },
        },
    }


def confusion_metrics(confusion: npt.ArrayLike, labels: Sequence[str]) -> dict[str, Any]:
    """Return what follows from counts alone.

    Precision, recall and F1 are those of the second class where there are two (the one whose
    probability the network gives), and means over all classes that occur where there are more.
    A ratio with nothing below the line is 0.

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
        label: {name: each[number].item() for name, each in columns.items()}
        for number, label in enumerate(labels)
    }
    macro, weighted = (
        {name: value.item() for name, value in each.items()}
        for each in point_estimates.macro_and_weighted_means(by_class)
    )
    binary = len(labels) == 2
    return {
        "rows": int(counts.sum()),
        "accuracy": float(by_class[0].sum() / counts.sum()),
        **({name: per_class[labels[1]][name] for name in macro} if binary else macro),
        "average": f"class {labels[1]}" if binary else "mean of all classes",
        "labels": list(labels),
        "confusion": counts.tolist(),
        "per_class": per_class,
        "macro": macro,
        "weighted": weighted,
    }


def wilson_interval(correct: int, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson (1927); holds near 0 and 1 too.

    Of no rows nothing is known: 0 to 1.
    """
    if not rows:
        return 0.0, 1.0
    share, z2 = correct / rows, _Z**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z / (1 + z2 / rows) * (share * (1 - share) / rows + z2 / (4 * rows**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _wilson_intervals(confusion: npt.NDArray[np.int64], is_binary: bool) -> dict[str, list[float]]:
    hits = confusion.diagonal().tolist()
    shares = {"accuracy": (sum(hits), int(confusion.sum()))}
    if is_binary:
        shares["precision"] = hits[1], int(confusion[:, 1].sum())
        shares["recall"] = hits[1], int(confusion[1].sum())
    return {name: list(wilson_interval(*share)) for name, share in shares.items()}


class _ClassCurves(NamedTuple):
    """How one class stands out from the rest; NaN and nothing to draw where one has no row."""

    roc_auc: float
    pr_auc: float
    roc: list[list[float]]
    pr: list[list[float]]


def _curves_by_class(accumulator: MetricsAccumulator, is_binary: bool) -> Iterator[_ClassCurves]:
    """Rank by each class; one after the other, as exact scores take memory."""
    points = max(_MIN_POINTS, min(_MAX_POINTS, 20 * _MAX_POINTS // len(accumulator.score_counts)))
    for each in accumulator.score_counts:
        ours, others = each.split_by_class()
        if is_binary:  # the first class has the score of the second, upside down
            yield _class_curves(others[::-1], ours[::-1], points)
        yield _class_curves(ours, others, points)


def _class_curves(
    positives: score_counts.CountsByScore, negatives: score_counts.CountsByScore, max_points: int
) -> _ClassCurves:
    both = positives.any() and negatives.any()
    return _ClassCurves(
        score_counts.roc_auc(positives, negatives).item(),
        score_counts.average_precision(positives, negatives).item(),
        *(score_counts.roc_and_pr_curves(positives, negatives, max_points) if both else ([], [])),
    )


def _curves_by_label(
    class_curves: Sequence[_ClassCurves], labels: Sequence[str], is_binary: bool
) -> dict[str, Any]:
    """Curves by label; of two classes the second's, as the first's are the same upside down."""
    shown = list(zip(labels, class_curves))[1 if is_binary else 0 :]
    return {
        "roc": {label: each.roc for label, each in shown if each.roc},
        "pr": {label: each.pr for label, each in shown if each.pr},
    }


def _top_k_accuracy(accumulator: MetricsAccumulator, ks: Sequence[int]) -> dict[str, float]:
    shares = np.cumsum(accumulator.label_ranks) / accumulator.label_ranks.sum()
    return {str(k): shares[k - 1].item() for k in ks if k < len(shares)}


def _calibration_bins(calibration: Array) -> list[dict[str, Any]]:
    return [
        {
            "low": round(number / CALIBRATION_BINS, _EDGE_DIGITS),
            "high": round((number + 1) / CALIBRATION_BINS, _EDGE_DIGITS),
            "rows": rows,
            "confidence": confidence / FIXED_POINT_ONE / rows if rows else None,
            "accuracy": right / rows if rows else None,
        }
        for number, (rows, right, confidence) in enumerate(calibration.T.tolist())
    ]


def _nan_to_none(value: Any) -> Optional[float]:
    return None if np.isnan(value) else float(value)
