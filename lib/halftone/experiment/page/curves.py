"""Loss and accuracy over the epochs of each run, in small pictures of one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from halftone.experiment import outcomes
from halftone.experiment.page.runs import history
from halftone.experiment.rows import Row
from halftone.experiment.spec import Choose
from halftone.report import plots
from halftone.report.plots import Drawn, Theme
from halftone.report.words import ratio

MOST = 12  # runs
_NAMES = ("loss", "accuracy")

Limits = tuple[float, float]
_Line = list[Optional[float]]


class Curves(NamedTuple):
    drawn: list[Drawn]
    left_out: int  # runs whose curves are not shown
    clipped: bool  # whether a line leaves its picture


class _Run(NamedTuple):
    title: str
    epochs: list[int]
    lines: dict[str, tuple[_Line, _Line]]  # train, validation
    chosen: Optional[int]


def figures(own: Sequence[Row], choose: Choose) -> Curves:
    """A picture for each run, or for the best of them. Of a run with folds it is the first one."""
    found = [(row, history(row.outcome)) for row in own]
    trained = [(row, kept) for row, kept in found if kept and kept["epochs"]]
    if len(trained) > MOST:
        best = sorted(trained, key=lambda pair: _rank(pair[0], choose))[:MOST]
        shown = [pair for pair in trained if pair in best]
    else:
        shown = trained
    every = [_of_run(row, kept) for row, kept in shown]
    values = {name: _values([one.lines[name] for one in every]) for name in _NAMES}
    limits = {name: _limits(own) for name, own in values.items()}
    clipped = any(len(own) and own.max() > limits[name][1] for name, own in values.items())
    return Curves([_draw(one, limits) for one in every], len(trained) - len(shown), clipped)


def _rank(row: Row, choose: Choose) -> float:
    value = outcomes.figure(row.outcome.result or {}, choose.split, choose.metric)
    return float("inf") if value is None else choose.sign * value


def _of_run(row: Row, kept: dict[str, Any]) -> _Run:
    entries = kept["epochs"]
    fold = ", fold 0" if (row.outcome.result or {}).get("folds") else ""
    epochs = [entry["epoch"] for entry in entries]
    best = kept.get("best_epoch")
    return _Run(
        row.name() + fold,
        epochs,
        {
            name: (
                [entry.get(name) for entry in entries],
                [entry.get(f"val_{name}") for entry in entries],
            )
            for name in _NAMES
        },
        best if best in epochs else None,
    )


def _values(lines: Sequence[tuple[_Line, _Line]]) -> npt.NDArray[np.float64]:
    """All finite ones."""
    values = [value for pair in lines for line in pair for value in line if value is not None]
    return np.array([value for value in values if np.isfinite(value)], np.float64)


def _limits(values: npt.NDArray[np.float64]) -> Limits:
    """From the lowest value to the highest that is not far away from what most runs have."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    # A run that diverged would press all others to the ground.
    usual = 3 * float(np.quantile(values, 0.9))
    high = min(high, usual) if usual > low else high
    room = 0.05 * (high - low) or 0.05
    return low - room, high + room


def _draw(one: _Run, limits: dict[str, Limits]) -> Drawn:
    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(1, 2)
        for axes, name in zip(panels, _NAMES):
            train, validation = one.lines[name]
            plots.draw_curve(
                axes, theme, name.capitalize(), one.epochs, train, validation, one.chosen
            )
            axes.set_ylim(limits[name])
        figure.suptitle(plots.written(one.title), fontsize=10, fontweight="bold")
        plots.legend(figure, panels[0], columns=3)

    said = [
        f"{split} {name} {ratio(values[-1])}"
        for name in _NAMES
        for split, values in zip(("train", "validation"), one.lines[name])
        if values[-1] is not None
    ]
    alt = f"Loss and accuracy of {one.title} over {len(one.epochs)} epochs; at the last one: "
    return plots.both((5.2, 2.6), draw, alt + ", ".join(said) + ".")
