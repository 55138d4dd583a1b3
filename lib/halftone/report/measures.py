"""The test results in numbers, from metrics.json of this or an older version of Halftone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from halftone.config.score import NO_VIEWS
from halftone.dataset import splits
from halftone.dataset.manifest import Manifest
from halftone.metrics.model import ImageScores, Interval, Metrics, SplitScores
from halftone.metrics.summarise import wilson_interval
from halftone.metrics.thresholds import DEFAULT_THRESHOLD
from halftone.model_directory import ModelInfo
from halftone.report.words import ratio

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
_RULES = {
    "best_f1": "where F1 is best on the validation split",
    "precision": "the lowest with the wanted precision on the validation split",
}

_VIEWS = {
    "flip": "the image and its mirror image",
    "flip_translate": "the image and its mirror image, and both moved by a pixel up and to the "
    "left, and down and to the right",
}


class Measure(NamedTuple):
    title: str
    value: Optional[float]
    interval: Optional[Interval]
    lower_is_better: bool


def summarise_accuracy(metrics: Metrics) -> dict[str, Any]:
    """Return counts of right and wrong answers, and the accuracy of the best constant answer."""
    support = [sum(row) for row in metrics.confusion]
    commonest = max(range(len(support)), key=lambda class_id: support[class_id])
    return {
        "right": metrics.num_correct,
        "wrong": metrics.rows - metrics.num_correct,
        "interval": _confidence_intervals(metrics)["accuracy"],
        "commonest": metrics.labels[commonest],
        "baseline": support[commonest] / metrics.rows,
    }


def list_measures(metrics: Metrics) -> dict[str, Measure]:
    """Return the measures that `metrics` contains, by name, in the order of the page."""
    # A measure that an older version did not write is left out; one that is None is shown as n/a.
    values = {name: getattr(metrics, name) for name in _TITLES if name in metrics.model_fields_set}
    if metrics.is_binary and metrics.macro is not None:
        values["macro_f1"] = metrics.macro.f1
    values.update({f"top_{k}": share for k, share in (metrics.top_k or {}).items()})
    intervals = _confidence_intervals(metrics)
    return {
        name: Measure(
            _measure_title(name), values[name], intervals.get(name), name in _LOWER_IS_BETTER
        )
        for name in sorted(values, key=_measure_order)
    }


def _measure_title(name: str) -> str:
    return _TITLES.get(name) or f"Among the {name.removeprefix('top_')} most probable"


def _measure_order(name: str) -> tuple[int, int]:
    """Sort top-k accuracies after the accuracy, the smallest k first."""
    if name in _TITLES:
        return (0 if name == "accuracy" else 2), list(_TITLES).index(name)
    return 1, int(name.removeprefix("top_"))


def build_class_table(metrics: Metrics) -> dict[str, Any]:
    """Return the rows of the table of classes, and its means if metrics.json has them."""
    rows = list(metrics.per_class.items())
    means = [
        (title, values)
        for title, values in (("Mean", metrics.macro), ("Mean by images", metrics.weighted))
        if values is not None
    ]
    with_areas = "roc_auc" in rows[0][1].model_fields_set
    return {"rows": rows, "means": means, "with_areas": with_areas}


def describe_decision_rule(metrics: Metrics) -> list[str]:
    """Describe how probabilities became classes, unless threshold and temperature are defaults."""
    rule = str(DEFAULT_THRESHOLD) if metrics.threshold is None else metrics.threshold.rule
    return describe_rule(
        metrics.labels, (decision_threshold(metrics), rule), decision_temperature(metrics)
    )


def describe_rule(
    labels: Sequence[str], threshold: tuple[float, str], temperature: float
) -> list[str]:
    """Describe how probabilities became classes, unless threshold and temperature are defaults.

    Args:
        threshold: between two classes, and the setting score.threshold.
    """
    sentences = []
    value, rule = threshold
    if value != DEFAULT_THRESHOLD:
        sentences.append(
            f"An image is assigned to class {labels[1]} from a probability of {ratio(value)} on: "
            f"{_RULES.get(rule, 'set by hand')}."
        )
    if temperature != 1.0:
        tendency = "overconfident" if temperature > 1 else "underconfident"
        sentences.append(
            f"Probabilities are scaled by a temperature of {ratio(temperature)}, fitted on the "
            f"validation split: without it the model was {tendency}."
        )
    return sentences


def describe_views(scores: Union[SplitScores, ImageScores]) -> list[str]:
    """Describe what probabilities are averaged over, unless they are those of the image alone."""
    if score_views(scores) == NO_VIEWS:
        return []
    return [f"Probabilities are means over views of each image: {_VIEWS[score_views(scores)]}."]


def describe_caution(
    model_info: ModelInfo, manifest: Manifest, scores: SplitScores
) -> Optional[str]:
    """Return why the numbers may flatter the model; None if the evaluation is sound."""
    if scores.split == splits.TRAIN:
        return (
            "The model was trained on images of this split: the numbers say little about "
            "images that it has never seen."
        )
    if scores.split == splits.VALIDATION:
        return (
            "The epoch was chosen on images of this split: expect slightly lower numbers on "
            "images that were not used for that choice."
        )
    if scores.fingerprint != model_info.fingerprint and _have_other_splits(model_info, manifest):
        return (
            "The model was trained on another dataset with other splits: some of these images "
            "may be among its training images."
        )
    return None


def _have_other_splits(model_info: ModelInfo, manifest: Manifest) -> bool:
    """Whether an image may have been in another split when the model was trained."""
    if (manifest.seed, manifest.splits) != (model_info.config.seed, model_info.config.splits):
        return True
    return any(
        manifest.split_salts.get(label) != model_info.split_salts.get(label)
        for label in set(manifest.labels).intersection(model_info.labels)
    )


def decision_threshold(metrics: Metrics) -> float:
    """Return the probability from which on an image is of the second of two classes."""
    return DEFAULT_THRESHOLD if metrics.threshold is None else metrics.threshold.value


def decision_temperature(metrics: Metrics) -> float:
    """Return the temperature by which probabilities were scaled; 1 if there was none."""
    return 1.0 if metrics.temperature is None else metrics.temperature


def score_views(scores: Union[SplitScores, ImageScores]) -> str:
    """Return the setting score.views of the scores."""
    return NO_VIEWS if scores.views is None else scores.views


def _confidence_intervals(metrics: Metrics) -> Mapping[str, Optional[Interval]]:
    """Return intervals by measure; older versions wrote none, but Wilson's follows from counts."""
    return metrics.intervals or {"accuracy": wilson_interval(metrics.num_correct, metrics.rows)}
