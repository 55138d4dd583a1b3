"""The confusion matrix as a table or, of many classes, as a picture; and its largest mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from halftone.report import plots
from halftone.report.measures import Metrics, is_binary, right
from halftone.report.plots import Drawn, Theme
from halftone.report.words import count

_LEVELS = 10  # shades of the matrix
_NUMBERS_UP_TO = 20  # classes; a matrix of more is drawn without numbers
_CONFUSIONS_SHOWN = 10


def ramps() -> dict[str, list[tuple[str, str]]]:
    """Colours of the shades, see plots.ramp: by theme."""
    return {"light": plots.ramp(plots.LIGHT, _LEVELS), "dark": plots.ramp(plots.DARK, _LEVELS)}


def matrix(metrics: Metrics) -> dict[str, Any]:
    """Counts with a level of shade each, or a picture where there are too many classes."""
    counts = metrics["confusion"]
    shares = [[cell / max(1, sum(row)) for cell in row] for row in counts]
    if len(counts) > _NUMBERS_UP_TO:
        return {"figure": _heat_map(shares, metrics), "table": []}
    # Level 0 is kept for no image at all: a rare mistake is to be seen.
    table = [
        (
            label,
            [
                (cell, 1 + int(share * (_LEVELS - 2)) if cell else 0)
                for cell, share in zip(row, shares_of_row)
            ],
        )
        for label, row, shares_of_row in zip(metrics["labels"], counts, shares)
    ]
    return {"figure": None, "table": table}


def pairs(metrics: Metrics) -> list[dict[str, Any]]:
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
    return sorted(found, key=lambda pair: -pair["count"])[:_CONFUSIONS_SHOWN]


def _heat_map(shares: Sequence[Sequence[float]], metrics: Metrics) -> Drawn:
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
        f"predicted ones to the right: {count(right(metrics))} of {count(metrics['rows'])} images "
        "are on the diagonal, which is correct. The largest entries beside it are in the table of "
        "confusions."
    )
    return plots.both((5.6, 4.6), draw, alt)
