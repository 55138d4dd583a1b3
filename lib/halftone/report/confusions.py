"""The confusion matrix as a table or, of many classes, as a picture; and its largest mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from halftone.report import plots
from halftone.report.measures import Metrics, count_correct, is_binary
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import count

_NUM_SHADES = 10  # shades of the matrix
_MAX_CLASSES_WITH_NUMBERS = 20  # classes; a matrix of more is drawn without numbers
_MAX_CONFUSIONS = 10


def heat_ramps() -> dict[str, list[tuple[str, str]]]:
    """Colours of the shades, see plots.ramp: by theme."""
    return {
        "light": plots.heat_ramp(plots.LIGHT, _NUM_SHADES),
        "dark": plots.heat_ramp(plots.DARK, _NUM_SHADES),
    }


def build_confusion_matrix(metrics: Metrics) -> dict[str, Any]:
    """Counts with a level of shade each, or a picture where there are too many classes."""
    counts = metrics["confusion"]
    shares = [[cell / max(1, sum(row)) for cell in row] for row in counts]
    if len(counts) > _MAX_CLASSES_WITH_NUMBERS:
        return {"figure": _heat_map(shares, metrics), "table": []}
    # Level 0 is kept for no image at all: a rare mistake is to be seen.
    table = [
        (
            label,
            [
                (cell, 1 + int(share * (_NUM_SHADES - 2)) if cell else 0)
                for cell, share in zip(row, shares_of_row)
            ],
        )
        for label, row, shares_of_row in zip(metrics["labels"], counts, shares)
    ]
    return {"figure": None, "table": table}


def list_top_confusions(metrics: Metrics) -> list[dict[str, Any]]:
    """What is most often taken for what; nothing new where there are two classes."""
    labels, counts = metrics["labels"], metrics["confusion"]
    if is_binary(metrics):
        return []
    found = [
        {"label": labels[i], "prediction": labels[j], "count": cell, "share": cell / sum(row)}
        for i, row in enumerate(counts)
        for j, cell in enumerate(row)
        if i != j and cell
    ]
    return sorted(found, key=lambda pair: -pair["count"])[:_MAX_CONFUSIONS]


def _heat_map(shares: Sequence[Sequence[float]], metrics: Metrics) -> ThemedFigure:
    """Draw a square matrix of values from 0 to 1, too large for numbers in its cells."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        image = axes.imshow(
            shares, cmap=plots.heat_colours(theme), vmin=0, vmax=1, interpolation="nearest"
        )
        axes.set_xlabel("number of the predicted class")
        axes.set_ylabel("number of the true class")
        figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)

    alt = (
        f"Heat map of the confusion matrix of {len(shares)} classes, true ones downwards and "
        f"predicted ones to the right: {count(count_correct(metrics))} of {count(metrics['rows'])} images "
        "are on the diagonal, which is correct. The largest entries beside it are in the table of "
        "confusions."
    )
    return plots.draw_themed((5.6, 4.6), draw, alt)
