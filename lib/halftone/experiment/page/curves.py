"""Plot loss and accuracy over the epochs of each run, in small figures with a shared scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from halftone.experiment import outcomes
from halftone.experiment.page.runs import read_history
from halftone.experiment.rows import RunRow
from halftone.experiment.spec import SelectionCriterion
from halftone.report import plots
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import ratio

MAX_RUNS = 12
_METRIC_NAMES = ("loss", "accuracy")

Limits = tuple[float, float]
_Series = list[Optional[float]]


class LearningCurves(NamedTuple):
    figures: list[ThemedFigure]
    num_omitted: int  # runs whose curves are not shown
    clipped: bool  # whether a curve exceeds the limits of its plot


class _RunCurves(NamedTuple):
    title: str
    epochs: list[int]
    lines: dict[str, tuple[_Series, _Series]]  # train, validation
    chosen_epoch: Optional[int]


def draw_run_curves(run_rows: Sequence[RunRow], choose: SelectionCriterion) -> LearningCurves:
    """Draw a figure for each run, at most for the best `MAX_RUNS`; with folds, for fold 0."""
    histories = [(row, read_history(row.outcome)) for row in run_rows]
    trained = [(row, history) for row, history in histories if history and history["epochs"]]
    if len(trained) > MAX_RUNS:
        best = sorted(trained, key=lambda pair: _sort_key(pair[0], choose))[:MAX_RUNS]
        shown = [pair for pair in trained if pair in best]
    else:
        shown = trained
    curves = [_extract_curves(row, history) for row, history in shown]
    values_by_metric = {
        name: _finite_values([run_curves.lines[name] for run_curves in curves])
        for name in _METRIC_NAMES
    }
    limits = {name: _axis_limits(values) for name, values in values_by_metric.items()}
    clipped = any(
        len(values) and values.max() > limits[name][1] for name, values in values_by_metric.items()
    )
    return LearningCurves(
        [_draw_run(run_curves, limits) for run_curves in curves],
        len(trained) - len(shown),
        clipped,
    )


def _sort_key(row: RunRow, choose: SelectionCriterion) -> float:
    value = outcomes.metric_value(row.outcome.result or {}, choose.split, choose.metric)
    return float("inf") if value is None else choose.sign * value


def _extract_curves(row: RunRow, history_json: dict[str, Any]) -> _RunCurves:
    entries = history_json["epochs"]
    fold = ", fold 0" if (row.outcome.result or {}).get("folds") else ""
    epochs = [entry["epoch"] for entry in entries]
    best = history_json.get("best_epoch")
    return _RunCurves(
        row.name() + fold,
        epochs,
        {
            name: (
                [entry.get(name) for entry in entries],
                [entry.get(f"val_{name}") for entry in entries],
            )
            for name in _METRIC_NAMES
        },
        best if best in epochs else None,
    )


def _finite_values(lines: Sequence[tuple[_Series, _Series]]) -> npt.NDArray[np.float64]:
    """Return all finite values of the lines."""
    values = [value for pair in lines for line in pair for value in line if value is not None]
    return np.array([value for value in values if np.isfinite(value)], np.float64)


def _axis_limits(values: npt.NDArray[np.float64]) -> Limits:
    """Return limits from the lowest value to at most three times the 90 % quantile."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    # Without the cap, a diverged run would flatten the curves of all others.
    cap = 3 * float(np.quantile(values, 0.9))
    high = min(high, cap) if cap > low else high
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def _draw_run(run_curves: _RunCurves, limits: dict[str, Limits]) -> ThemedFigure:
    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(1, 2)
        for axes, name in zip(panels, _METRIC_NAMES):
            train, validation = run_curves.lines[name]
            plots.plot_metric_curve(
                axes,
                theme,
                name.capitalize(),
                run_curves.epochs,
                train,
                validation,
                run_curves.chosen_epoch,
            )
            axes.set_ylim(limits[name])
        figure.suptitle(plots.printable_label(run_curves.title), fontsize=10, fontweight="bold")
        plots.add_legend(figure, panels[0], columns=3)

    last_values = [
        f"{split} {name} {ratio(values[-1])}"
        for name in _METRIC_NAMES
        for split, values in zip(("train", "validation"), run_curves.lines[name])
        if values[-1] is not None
    ]
    alt = (
        f"Loss and accuracy of {run_curves.title} over {len(run_curves.epochs)} epochs; "
        f"after the last one: {', '.join(last_values)}."
    )
    return plots.draw_themed((5.2, 2.6), draw, alt)
