"""What predictions are worth, from counts alone: the confusion matrix and the sum of losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Confusion = Sequence[Sequence[int]]  # rows: the label, columns: the prediction


def summarise(confusion: Confusion, loss_sum: float, labels: Sequence[str]) -> dict[str, Any]:
    """Compute accuracy, precision, recall, F1 and loss.

    Precision, recall and F1 are those of the second class where there are two (the one whose
    probability the network gives), and means over all classes that occur where there are more.
    A ratio with nothing below the line is 0.

    Args:
        confusion: (classes, classes) counts, rows by label and columns by prediction.
        loss_sum: of the rows' cross-entropies, in nats.
    """
    rows = sum(map(sum, confusion))
    per_class = {label: _of_class(confusion, number) for number, label in enumerate(labels)}
    if len(labels) == 2:
        average, chosen = f"class {labels[1]}", [per_class[labels[1]]]
    else:
        average = "mean of all classes"
        chosen = [
            values for values in per_class.values() if values["support"] or values["predicted"]
        ]
    means = {
        name: sum(values[name] for values in chosen) / len(chosen)
        for name in ("precision", "recall", "f1")
    }
    hits = sum(confusion[number][number] for number in range(len(labels)))
    return {
        "rows": rows,
        "accuracy": hits / rows,
        **means,
        "loss": loss_sum / rows,
        "average": average,
        "labels": list(labels),
        "confusion": [list(row) for row in confusion],
        "per_class": per_class,
    }


def _of_class(confusion: Confusion, number: int) -> dict[str, float]:
    hits = confusion[number][number]
    support = sum(confusion[number])
    predicted = sum(row[number] for row in confusion)
    return {
        "precision": hits / predicted if predicted else 0.0,
        "recall": hits / support if support else 0.0,
        "f1": 2 * hits / (support + predicted) if support + predicted else 0.0,
        "support": support,
        "predicted": predicted,
    }


def empty_confusion(num_classes: int) -> list[list[int]]:
    return [[0] * num_classes for _ in range(num_classes)]
