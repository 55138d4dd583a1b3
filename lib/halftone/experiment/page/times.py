"""Plot training time against a metric, with the name of each run beside its points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halftone.dataset.splits import TEST, TRAIN, VALIDATION
from halftone.experiment.page.labels import place_labels
from halftone.experiment.rows import TRAIN_SECS, RunRow, TableColumn
from halftone.report import plots
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import duration, ratio

_TITLES = {"f1": "F1", "accuracy": "accuracy"}
_LOG_SCALE_RATIO = 20  # the axis is logarithmic from this ratio of longest to shortest time


class RunPoint(NamedTuple):
    name: str
    secs: float
    values: dict[str, float]  # by split


def draw_time_against_score(run_rows: Sequence[RunRow]) -> Optional[ThemedFigure]:
    """Draw the figure; None if fewer than two runs have a time and a metric.

    The metric is F1 if all finished runs have it, else accuracy. The test split replaces a missing
    validation split.
    """
    finished = [row for row in run_rows if row.outcome.is_finished]
    metric = next((name for name in _TITLES if _has_metric(finished, TRAIN, name)), "accuracy")
    held_out = VALIDATION if _has_metric(finished, VALIDATION, metric) else TEST
    points = [
        RunPoint(
            row.name(),
            row.values[TRAIN_SECS],
            {split: row.values[TableColumn(split, metric)] for split in (TRAIN, held_out)},
        )
        for row in finished
        if TRAIN_SECS in row.values
        and _has_metric([row], TRAIN, metric)
        and _has_metric([row], held_out, metric)
    ]
    if len(points) < 2:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _plot_points(axes, theme, points, (TRAIN, held_out), _TITLES[metric])
        plots.add_legend(figure, axes, columns=2)
        labels = [(point.name, point.secs, point.values[held_out]) for point in points]
        obstacles = [(point.secs, point.values[TRAIN]) for point in points]
        place_labels(figure, axes, theme, labels, obstacles)

    return plots.draw_themed((6.6, 4.4), draw, _describe_points(points, held_out, _TITLES[metric]))


def _has_metric(run_rows: Sequence[RunRow], split: str, metric: str) -> bool:
    return bool(run_rows) and all(TableColumn(split, metric) in row.values for row in run_rows)


def _plot_points(
    axes: Axes, theme: Theme, points: Sequence[RunPoint], splits: tuple[str, str], title: str
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
    if min(secs) > 0 and max(secs) / min(secs) >= _LOG_SCALE_RATIO:
        plots.set_log_x(axes, min(secs), max(secs))
    plots.style_axes(axes, theme, f"Training time against {title}")
    axes.set(xlabel="training time, seconds", ylabel=title)
    axes.margins(x=0.12, y=0.12)  # space for labels


def _describe_points(points: Sequence[RunPoint], held_out: str, title: str) -> str:
    fastest = min(points, key=lambda point: point.secs)
    best = max(points, key=lambda point: point.values[held_out])
    return (
        f"Training time against {title} of {len(points)} runs. "
        f"Fastest: {_describe_point(fastest, held_out)}. "
        f"Highest {held_out} {title}: {_describe_point(best, held_out)}."
    )


def _describe_point(point: RunPoint, held_out: str) -> str:
    train, other = ratio(point.values[TRAIN]), ratio(point.values[held_out])
    return f"{point.name} with {duration(point.secs)}, train {train}, {held_out} {other}"
