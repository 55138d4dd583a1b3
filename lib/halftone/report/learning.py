"""The learning curves of the training."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from halftone.report import plots
from halftone.report.plots import ThemedFigure
from halftone.report.words import ratio

History = Sequence[Mapping[str, Any]]


def draw_learning_curves(chosen_epoch: int, history: History) -> list[ThemedFigure]:
    """Draw the curves of loss and accuracy; none if there are no epochs."""
    epochs = [entry["epoch"] for entry in history]
    mark = chosen_epoch if chosen_epoch in epochs else None
    figures = []
    for name in ("loss", "accuracy") if history else ():
        lines = {
            "train": [entry.get(name) for entry in history],
            "validation": [entry.get(f"val_{name}") for entry in history],
        }
        changes = [
            f"{line} from {ratio(values[0])} to {ratio(values[-1])}"
            for line, values in lines.items()
            if values[0] is not None and values[-1] is not None
        ]
        alt = (
            f"{name.capitalize()} over epochs {epochs[0]} to {epochs[-1]}: {', '.join(changes)}; "
            f"epoch {chosen_epoch} was chosen."
        )
        figures.append(
            plots.draw_metric_curve(
                name.capitalize(), epochs, lines["train"], lines["validation"], mark, alt
            )
        )
    return figures


def has_validation(history: History) -> bool:
    return any("val_loss" in entry for entry in history)


def median_images_per_sec(history: History) -> Optional[float]:
    """Return the speed of the median epoch; None if there are no epochs."""
    return statistics.median(entry["images_per_sec"] for entry in history) if history else None
