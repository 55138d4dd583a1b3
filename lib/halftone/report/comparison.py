"""Scores beside those of an earlier run: is it fair, what differs, and is that more than chance?"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from halftone.metrics.summarise import wilson_interval
from halftone.report.measures import Measure, Metrics, list_measures, threshold
from halftone.report.words import count, ratio

Interval = tuple[float, float]


class MeasureChange(NamedTuple):
    """One value in both runs."""

    title: str
    before: Optional[float]
    now: Optional[float]
    difference: Optional[float]  # now - before
    interval: Optional[Interval]  # of the difference, 95 %
    judgement: str


class ClassChange(NamedTuple):
    label: str
    f1_before: float
    f1_now: float
    f1_difference: float
    recall: MeasureChange


def compare_metrics(metrics: Metrics, baseline: Optional[Metrics]) -> Optional[dict[str, Any]]:
    """What the page says of `baseline`, an earlier metrics.json with its `name`."""
    if baseline is None:
        return None
    comparable = metrics["labels"] == baseline["labels"]
    classes = _compare_classes(metrics, baseline) if comparable else []
    return {
        "name": baseline.get("name", "the earlier run"),
        "differing": _list_differences(metrics, baseline),
        "same_model": metrics["model_version"] == baseline.get("model_version"),
        "measures": _compare_measures(metrics, baseline) if comparable else [],
        "classes": classes,
        "better": sum(each.f1_difference > 0 for each in classes),
        "worse": sum(each.f1_difference < 0 for each in classes),
    }


def difference_interval(
    before: float, before_interval: Interval, now: float, now_interval: Interval
) -> Interval:
    """95 % interval of `now - before` from the intervals of both, taken as independent.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17 (1998), method 10; G. Y. Zou, A. Donner, "Construction of confidence
    limits about effect measures", Statistics in Medicine 27 (2008), for other measures. Of the same
    rows, two models' values mostly rise and fall together: the interval is then too wide.
    """
    difference = now - before
    down = _root_sum_square(now - now_interval[0], before_interval[1] - before)
    up = _root_sum_square(now_interval[1] - now, before - before_interval[0])
    return difference - down, difference + up


def _root_sum_square(first: float, second: float) -> float:
    """Of both together; that of an interval which does not hold its value is 0 on that side."""
    return float((max(0.0, first) ** 2 + max(0.0, second) ** 2) ** 0.5)


def _list_differences(metrics: Metrics, baseline: Metrics) -> list[str]:
    """Why a difference may come from something else than the model."""
    found = [
        f"{what} {metrics[key]} here, {baseline.get(key, 'unknown')} there"
        for key, what in (("split", "split"), ("fingerprint", "dataset with the fingerprint"))
        if metrics[key] != baseline.get(key)
    ]
    if metrics["rows"] != baseline["rows"]:
        found.append(f"{count(metrics['rows'])} images here, {count(baseline['rows'])} there")
    if metrics["labels"] != baseline["labels"]:
        others = ", ".join(baseline["labels"])
        found.append(f"classes {', '.join(metrics['labels'])} here, {others} there")
    here, there = threshold(metrics), threshold(baseline)
    if here != there:
        found.append(f"threshold {ratio(here)} here, {ratio(there)} there")
    here, there = metrics.get("temperature", 1.0), baseline.get("temperature", 1.0)
    if here != there:
        found.append(f"temperature {ratio(here)} here, {ratio(there)} there")
    return found


def _compare_measures(metrics: Metrics, baseline: Metrics) -> list[MeasureChange]:
    before, now = list_measures(baseline), list_measures(metrics)
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


def _compare_classes(metrics: Metrics, baseline: Metrics) -> list[ClassChange]:
    """What lost most comes first."""
    changes = []
    for number, label in enumerate(metrics["labels"]):
        before, now = baseline["per_class"][label], metrics["per_class"][label]
        changes.append(
            ClassChange(
                label,
                before["f1"],
                now["f1"],
                now["f1"] - before["f1"],
                _measure_change(_class_recall(baseline, number), _class_recall(metrics, number)),
            )
        )
    return sorted(changes, key=lambda change: change.f1_difference)


def _class_recall(metrics: Metrics, class_id: int) -> Measure:
    """Of one class; not known of one without rows."""
    row = metrics["confusion"][class_id]
    right, rows = row[class_id], sum(row)
    return Measure("Recall", right / rows if rows else None, wilson_interval(right, rows), False)
