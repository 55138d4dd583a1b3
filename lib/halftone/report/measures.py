"""What the test came to in numbers, from metrics.json: of this Halftone or of an older one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from halftone.dataset import splits
from halftone.dataset.manifest import Manifest
from halftone.metrics.summarise import wilson_interval
from halftone.metrics.thresholds import DEFAULT_THRESHOLD
from halftone.model_directory import ModelInfo
from halftone.report.words import ratio

Metrics = Mapping[str, Any]

_TITLES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "macro_f1": "F1, mean of both classes",
    "roc_auc": "Area under ROC",
    "pr_auc": "Area under precision-recall",
    "loss": "Loss (cross-entropy, nats)",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
}
_LOWER_IS_BETTER = {"loss", "brier", "ece"}
_MEANS = {"macro": "Mean", "weighted": "Mean by images"}
_RULES = {
    "best_f1": "where F1 is best on the validation split",
    "precision": "the lowest with the wanted precision on the validation split",
}


class Measure(NamedTuple):
    title: str
    value: Optional[float]
    interval: Optional[tuple[float, float]]  # 95 %
    lower_is_better: bool


def summarise_accuracy(metrics: Metrics) -> dict[str, Any]:
    """What was right, and what that is worth against no model at all."""
    rows, correct = metrics["rows"], count_correct(metrics)
    support = [sum(row) for row in metrics["confusion"]]
    commonest = max(range(len(support)), key=lambda number: support[number])
    return {
        "right": correct,
        "wrong": rows - correct,
        "interval": _confidence_intervals(metrics)["accuracy"],
        "commonest": metrics["labels"][commonest],
        "baseline": support[commonest] / rows,
    }


def list_measures(metrics: Metrics) -> dict[str, Measure]:
    """Every measure that `metrics` has, by name, in the order of the page."""
    values = {name: metrics[name] for name in _TITLES if name in metrics}
    if is_binary(metrics) and "macro" in metrics:
        values["macro_f1"] = metrics["macro"]["f1"]
    values.update({f"top_{k}": share for k, share in metrics.get("top_k", {}).items()})
    intervals = _confidence_intervals(metrics)
    return {
        name: Measure(
            _measure_title(name),
            values[name],
            _as_interval(intervals.get(name)),
            name in _LOWER_IS_BETTER,
        )
        for name in sorted(values, key=_measure_order)
    }


def _measure_title(name: str) -> str:
    return _TITLES.get(name) or f"Among the {name.removeprefix('top_')} most probable"


def _measure_order(name: str) -> tuple[int, int]:
    """Top-k comes after accuracy, with the smallest k first."""
    if name in _TITLES:
        return (0 if name == "accuracy" else 2), list(_TITLES).index(name)
    return 1, int(name.removeprefix("top_"))


def build_class_table(metrics: Metrics) -> dict[str, Any]:
    """Rows of the table of classes, and its means where metrics.json has them."""
    rows = list(metrics["per_class"].items())
    means = [(title, metrics[name]) for name, title in _MEANS.items() if name in metrics]
    return {"rows": rows, "means": means, "with_areas": "roc_auc" in rows[0][1]}


def describe_decision_rule(metrics: Metrics) -> list[str]:
    """How probabilities became classes, where that is not the usual way."""
    sentences = []
    if threshold(metrics) != DEFAULT_THRESHOLD:
        how = _RULES.get(metrics["threshold"]["rule"], "set by hand")
        sentences.append(
            f"An image is of class {metrics['labels'][1]} from a probability of "
            f"{ratio(threshold(metrics))} on: {how}."
        )
    temperature = metrics.get("temperature", 1.0)
    if temperature != 1.0:
        sure = "sure" if temperature > 1 else "unsure"
        sentences.append(
            f"Probabilities are scaled by a temperature of {ratio(temperature)}, found on the "
            f"validation split: without it the model was too {sure}."
        )
    return sentences


def describe_caution(card: ModelInfo, manifest: Manifest, metrics: Metrics) -> Optional[str]:
    """Why the numbers may flatter the model; None where they were made as they should be."""
    if metrics["split"] == splits.TRAIN:
        return (
            "The model was trained on images of this split: the numbers say little about "
            "images that it has never seen."
        )
    if metrics["split"] == splits.VALIDATION:
        return (
            "The epoch was chosen on images of this split: expect slightly lower numbers on "
            "images that had no part in that."
        )
    ours = (card.fingerprint, card.config.seed, card.config.splits)
    if metrics["fingerprint"] != ours[0] and (manifest.seed, manifest.splits) != ours[1:]:
        return (
            "The model was trained on another dataset, and on other splits: some of these images "
            "may have been among those that it was trained on."
        )
    return None


def is_binary(metrics: Metrics) -> bool:
    return len(metrics["labels"]) == 2


def count_correct(metrics: Metrics) -> int:
    """How many images are classified correctly."""
    return sum(row[number] for number, row in enumerate(metrics["confusion"]))


def threshold(metrics: Metrics) -> float:
    """From which probability on an image is of the second of two classes."""
    return float((metrics.get("threshold") or {"value": DEFAULT_THRESHOLD})["value"])


def _confidence_intervals(metrics: Metrics) -> Mapping[str, Any]:
    """An older Halftone wrote none, but that of the accuracy follows from counts."""
    return metrics.get("intervals") or {
        "accuracy": wilson_interval(count_correct(metrics), metrics["rows"])
    }


def _as_interval(interval: Any) -> Optional[tuple[float, float]]:
    return None if interval is None else (interval[0], interval[1])
