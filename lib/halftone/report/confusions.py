"""The confusion matrix, as a table or for many classes as a figure, and the top confusions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from halftone.metrics.model import ConfusionMetrics
from halftone.report import plots
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import count

_NUM_SHADES = 10
_MAX_CLASSES_WITH_NUMBERS = 20  # a matrix of more classes is drawn without numbers
_MAX_CONFUSIONS = 10


def heat_ramps() -> dict[str, list[tuple[str, str]]]:
    """Return the colours of the shades by theme, see plots.heat_ramp."""
    return {
        "light": plots.heat_ramp(plots.LIGHT, _NUM_SHADES),
        "dark": plots.heat_ramp(plots.DARK, _NUM_SHADES),
    }


def build_confusion_matrix(metrics: ConfusionMetrics) -> dict[str, Any]:
    """Return a table of counts, each with its shade, or a figure if there are too many classes."""
    shares = [[cell / max(1, sum(row)) for cell in row] for row in metrics.confusion]
    if len(metrics.labels) > _MAX_CLASSES_WITH_NUMBERS:
        return {"figure": _heat_map(shares, metrics), "table": []}
    # Shade 0 is reserved for empty cells, so that a rare mistake is visible.
    table = [
        (
            label,
            [
                (cell, 1 + int(share * (_NUM_SHADES - 2)) if cell else 0)
                for cell, share in zip(row, shares_of_row)
            ],
        )
        for label, row, shares_of_row in zip(metrics.labels, metrics.confusion, shares)
    ]
    return {"figure": None, "table": table}


def list_top_confusions(metrics: ConfusionMetrics) -> list[dict[str, Any]]:
    """Return the most frequent confusions; none for two classes, whose matrix shows them all."""
    if metrics.is_binary:
        return []
    labels = metrics.labels
    confusions: list[dict[str, Any]] = [
        {"label": labels[i], "prediction": labels[j], "count": cell, "share": cell / sum(row)}
        for i, row in enumerate(metrics.confusion)
        for j, cell in enumerate(row)
        if i != j and cell
    ]
    return sorted(confusions, key=lambda pair: -pair["count"])[:_MAX_CONFUSIONS]


def _heat_map(shares: Sequence[Sequence[float]], metrics: ConfusionMetrics) -> ThemedFigure:
    """Draw a square matrix of values from 0 to 1 that is too large for numbers in its cells."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        image = axes.imshow(
            shares, cmap=plots.heat_colours(theme), vmin=0, vmax=1, interpolation="nearest"
        )
        axes.set_xlabel("number of the predicted class")
        axes.set_ylabel("number of the true class")
        figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)

    alt = (
        f"Heat map of the confusion matrix of {len(shares)} classes, true classes downwards and "
        f"predicted classes to the right: {count(metrics.num_correct)} of {count(metrics.rows)} "
        "images are on the diagonal, which is correct. The largest entries beside it are in the "
        "table of confusions."
    )
    return plots.draw_themed((5.6, 4.6), draw, alt)
