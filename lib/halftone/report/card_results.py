"""The results on a model card: metrics with intervals, and the table of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from halftone.card.data_card import MAX_CLASS_ROWS
from halftone.card.markdown_text import escape, table
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import VALIDATION
from halftone.metrics.model import Interval, SplitScores
from halftone.metrics.summarise import wilson_interval
from halftone.model_directory import ModelInfo
from halftone.report import measures
from halftone.report.words import NOT_AVAILABLE, count, image_count, ratio

_EPOCH_TITLES = {
    "accuracy": "Accuracy",
    "loss": "Loss (cross-entropy, nats)",
    "f1": "F1",
    "auc": "Area under ROC",
}
# Of the measures, those with a name that Hugging Face knows.
_INDEX_METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")


def result_blocks(
    model_info: ModelInfo,
    history: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    scores: Optional[SplitScores],
) -> list[str]:
    """Return the sections on results, as Markdown."""
    entry = next((each for each in history if each["epoch"] == model_info.best_epoch), {})
    validation = _validation_table(model_info, entry, manifest)
    if scores is None:
        return ["## Results on the validation split", *validation]
    return [
        f"## Results on the {scores.split} split",
        _measure_table(scores),
        f"Intervals are of 95 %, over the {image_count(scores.rows)}. Precision, recall and F1 "
        f"are: {escape(scores.average)}.",
        *map(escape, measures.describe_decision_rule(scores)),
        *map(escape, measures.describe_views(scores)),
        class_table(scores),
        *(["## Results on the validation split", *validation] if entry else []),
    ]


def class_table(scores: SplitScores) -> str:
    """Return the table of classes, with an interval of each recall.

    Of many classes, it has those of the lowest F1.
    """
    classes = measures.build_class_table(scores)["rows"]
    note = ""
    if len(classes) > MAX_CLASS_ROWS:
        note = (
            f"\n\nThese are the {MAX_CLASS_ROWS} classes of the lowest F1 of "
            f"{count(len(classes))}; `metrics.json` has all."
        )
        classes = sorted(classes, key=lambda item: item[1].f1)[:MAX_CLASS_ROWS]
    rows = []
    for label, values in classes:
        hits = scores.confusion[scores.labels.index(label)][scores.labels.index(label)]
        interval = wilson_interval(hits, values.support) if values.support else None
        numbers = [ratio(value) for value in (values.precision, values.recall, values.f1)]
        rows.append([escape(label), *numbers, count(values.support), _interval_text(interval)])
    header = ["class", "precision", "recall", "F1", "images", "interval of recall"]
    return table(header, rows) + note


def index_entry(model_info: ModelInfo, scores: SplitScores) -> dict[str, Any]:
    """Return the entry of the metadata `model-index`, from which Hugging Face shows results."""
    found = measures.list_measures(scores)
    metrics = [
        {"type": name, "value": round(value, 4)}
        for name in _INDEX_METRICS
        if name in found and (value := found[name].value) is not None
    ]
    return {
        "name": model_info.config.name,
        "results": [
            {
                "task": {"type": "image-classification"},
                "dataset": {
                    "name": f"{model_info.config.name} {scores.fingerprint}",
                    "type": model_info.config.name,
                    "split": scores.split,
                },
                "metrics": metrics,
            }
        ],
    }


def _measure_table(scores: SplitScores) -> str:
    rows = [
        [escape(measure.title), ratio(measure.value), _interval_text(measure.interval)]
        for measure in measures.list_measures(scores).values()
    ]
    return table(["measure", scores.split, "interval"], rows)


def _validation_table(
    model_info: ModelInfo, entry: Mapping[str, Any], manifest: Manifest
) -> list[str]:
    """Return the metrics of the best epoch; the interval of the accuracy follows from its rows."""
    num_rows = 0
    if manifest.fingerprint == model_info.fingerprint:
        num_rows = manifest.totals(VALIDATION).rows
    rows = []
    for name, title in _EPOCH_TITLES.items():
        value = entry.get(f"val_{name}")
        if f"val_{name}" in entry or name in entry:
            interval = None
            if name == "accuracy" and num_rows and value is not None:
                interval = wilson_interval(round(value * num_rows), num_rows)
            rows.append([title, ratio(entry.get(name)), ratio(value), _interval_text(interval)])
    if not rows:
        return [f"The history has no epoch {model_info.best_epoch}."]
    chosen = f"The model is that of epoch {model_info.best_epoch}"
    if any(name.startswith("val_") for name in entry):
        chosen += ", chosen by the validation images: expect slightly lower numbers on others"
    text = f"{chosen}. The numbers of the train split are measured while its weights change."
    return [table(["measure", "train", "validation", "interval"], rows), text]


def _interval_text(interval: Optional[Interval]) -> str:
    return NOT_AVAILABLE if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
