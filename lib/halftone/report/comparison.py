"""Comparison with the scores of an earlier run: is it fair, and are differences significant?"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from halftone.metrics.model import Interval, Metrics, SplitScores
from halftone.metrics.summarise import wilson_interval
from halftone.report.measures import (
    Measure,
    decision_temperature,
    decision_threshold,
    list_measures,
    score_views,
)
from halftone.report.words import count, ratio


class Baseline(NamedTuple):
    """An earlier run to compare with."""

    name: str
    scores: SplitScores


class MeasureChange(NamedTuple):
    """One value in both runs."""

    title: str
    before: Optional[float]
    now: Optional[float]
    difference: Optional[float]  # now - before
    interval: Optional[Interval]  # of the difference
    judgement: str


class ClassChange(NamedTuple):
    label: str
    f1_before: float
    f1_now: float
    f1_difference: float
    recall: MeasureChange


def compare_metrics(scores: SplitScores, baseline: Optional[Baseline]) -> Optional[dict[str, Any]]:
    """Return the content of the comparison section; None if there is no baseline."""
    if baseline is None:
        return None
    earlier = baseline.scores
    comparable = scores.labels == earlier.labels
    classes = _compare_classes(scores, earlier) if comparable else []
    return {
        "name": baseline.name,
        "differing": _list_differences(scores, earlier),
        "same_model": scores.model_version == earlier.model_version,
        "measures": _compare_measures(scores, earlier) if comparable else [],
        "classes": classes,
        "better": sum(change.f1_difference > 0 for change in classes),
        "worse": sum(change.f1_difference < 0 for change in classes),
    }


def difference_interval(
    before: float, before_interval: Interval, now: float, now_interval: Interval
) -> Interval:
    """Return the 95 % interval of `now - before`, with both taken as independent.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17 (1998), method 10; G. Y. Zou, A. Donner, "Construction of confidence
    limits about effect measures", Statistics in Medicine 27 (2008), for other measures. On the same
    rows, the values of two models are mostly positively correlated: the interval is then too wide.
    """
    difference = now - before
    down = _root_sum_square(now - now_interval[0], before_interval[1] - before)
    up = _root_sum_square(now_interval[1] - now, before - before_interval[0])
    return difference - down, difference + up


def _root_sum_square(first: float, second: float) -> float:
    """Combine two half widths; one is negative if an interval does not hold its value, and is 0."""
    return float((max(0.0, first) ** 2 + max(0.0, second) ** 2) ** 0.5)


def _list_differences(scores: SplitScores, earlier: SplitScores) -> list[str]:
    """List differences between the runs, besides the model, that may explain other numbers."""
    differences = []
    if scores.split != earlier.split:
        differences.append(f"split {scores.split} here, {earlier.split} there")
    if scores.fingerprint != earlier.fingerprint:
        differences.append(
            f"dataset with the fingerprint {scores.fingerprint} here, {earlier.fingerprint} there"
        )
    if scores.rows != earlier.rows:
        differences.append(f"{count(scores.rows)} images here, {count(earlier.rows)} there")
    if scores.labels != earlier.labels:
        differences.append(
            f"classes {', '.join(scores.labels)} here, {', '.join(earlier.labels)} there"
        )
    for title, value_of in (
        ("threshold", decision_threshold),
        ("temperature", decision_temperature),
    ):
        here, there = value_of(scores), value_of(earlier)
        if here != there:
            differences.append(f"{title} {ratio(here)} here, {ratio(there)} there")
    if score_views(scores) != score_views(earlier):
        differences.append(f"views {score_views(scores)} here, {score_views(earlier)} there")
    return differences


def _compare_measures(metrics: Metrics, earlier: Metrics) -> list[MeasureChange]:
    before, now = list_measures(earlier), list_measures(metrics)
    return [_measure_change(before[name], now[name]) for name in now if name in before]


def _measure_change(before: Measure, now: Measure) -> MeasureChange:
    if before.value is None or now.value is None:
        return MeasureChange(now.title, before.value, now.value, None, None, "not known")
    difference = now.value - before.value
    if before.interval is None or now.interval is None:
        return MeasureChange(now.title, before.value, now.value, difference, None, "not known")
    interval = difference_interval(before.value, before.interval, now.value, now.interval)
    judgement = _judgement(interval, now.lower_is_better)
    return MeasureChange(now.title, before.value, now.value, difference, interval, judgement)


def _judgement(interval: Interval, lower_is_better: bool) -> str:
    if interval[0] <= 0 <= interval[1]:
        return "within chance"
    return "worse" if (interval[0] > 0) == lower_is_better else "better"


def _compare_classes(metrics: Metrics, earlier: Metrics) -> list[ClassChange]:
    """Compare each class; the class whose F1 fell most comes first."""
    changes = []
    for class_id, label in enumerate(metrics.labels):
        before, now = earlier.per_class[label].f1, metrics.per_class[label].f1
        recall = _measure_change(_class_recall(earlier, class_id), _class_recall(metrics, class_id))
        changes.append(ClassChange(label, before, now, now - before, recall))
    return sorted(changes, key=lambda change: change.f1_difference)


def _class_recall(metrics: Metrics, class_id: int) -> Measure:
    """Return the recall of one class; its value is None if the class has no rows."""
    row = metrics.confusion[class_id]
    hits, rows = row[class_id], sum(row)
    return Measure("Recall", hits / rows if rows else None, wilson_interval(hits, rows), False)
