"""Training time against how good a run became, each with its name beside its points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halftone.dataset.splits import TEST, TRAIN, VALIDATION
from halftone.experiment.page.labels import place
from halftone.experiment.rows import SECS, Column, Row
from halftone.report import plots
from halftone.report.plots import Drawn, Theme
from halftone.report.words import duration, ratio

_TITLES = {"f1": "F1", "accuracy": "accuracy"}
_WIDE = 20  # from this ratio of the longest time to the shortest on, the axis is logarithmic


class Point(NamedTuple):
    name: str
    secs: float
    values: dict[str, float]  # by split


def figure(own: Sequence[Row]) -> Optional[Drawn]:
    """None where fewer than two runs have both a time and a figure."""
    trained = [row for row in own if row.outcome.is_finished]
    metric = next((one for one in _TITLES if _has(trained, TRAIN, one)), "accuracy")
    held_out = VALIDATION if _has(trained, VALIDATION, metric) else TEST
    points = [
        Point(
            row.name(),
            row.figures[SECS],
            {split: row.figures[Column(split, metric)] for split in (TRAIN, held_out)},
        )
        for row in trained
        if SECS in row.figures and _has([row], TRAIN, metric) and _has([row], held_out, metric)
    ]
    if len(points) < 2:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _draw(axes, theme, points, (TRAIN, held_out), _TITLES[metric])
        plots.legend(figure, axes, columns=2)
        texts = [(point.name, point.secs, point.values[held_out]) for point in points]
        others = [(point.secs, point.values[TRAIN]) for point in points]
        place(figure, axes, theme, texts, others)

    return plots.both((6.6, 4.4), draw, _said(points, held_out, _TITLES[metric]))


def _has(own: Sequence[Row], split: str, metric: str) -> bool:
    return bool(own) and all(Column(split, metric) in row.figures for row in own)


def _draw(
    axes: Axes, theme: Theme, points: Sequence[Point], splits: tuple[str, str], title: str
) -> None:
    secs = [point.secs for point in points]
    pairs = [[point.values[split] for split in splits] for point in points]
    axes.vlines(
        secs, [min(pair) for pair in pairs], [max(pair) for pair in pairs],
        color=theme.rule, linewidth=1.2,
    )  # fmt: skip
    for number, (split, marker) in enumerate(zip(splits, "os")):
        axes.plot(
            secs, [pair[number] for pair in pairs], marker, color=theme.lines[number],
            label=split, markersize=6,
        )  # fmt: skip
    if min(secs) > 0 and max(secs) / min(secs) >= _WIDE:
        plots.log_x(axes, min(secs), max(secs))
    plots.dress(axes, theme, f"Training time against {title}")
    axes.set(xlabel="training time, seconds", ylabel=title)
    axes.margins(x=0.12, y=0.12)  # room for names


def _said(points: Sequence[Point], held_out: str, title: str) -> str:
    fastest = min(points, key=lambda point: point.secs)
    best = max(points, key=lambda point: point.values[held_out])
    return (
        f"Training time against {title} of {len(points)} runs. Fastest is {_of(fastest, held_out)}"
        f"; the highest {held_out} {title} has {_of(best, held_out)}."
    )


def _of(point: Point, held_out: str) -> str:
    train, held = ratio(point.values[TRAIN]), ratio(point.values[held_out])
    return f"{point.name} with {duration(point.secs)}, train {train}, {held_out} {held}"
