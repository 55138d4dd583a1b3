"""Plot a search: the best value over the trials, and each setting against the value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halftone.config import flatten_settings
from halftone.experiment import outcomes, rows
from halftone.experiment.planning import Trial
from halftone.experiment.rows import RunRow
from halftone.experiment.spec import SearchSpec, SelectionCriterion
from halftone.report import plots
from halftone.report.plots import Theme, ThemedFigure

_LOG_SCALE_RATIO = 30  # the axis is logarithmic from this ratio of largest to smallest value


class _ScoredTrial(NamedTuple):
    """A run that has a value of the selection criterion."""

    number: int  # from 1
    row: RunRow
    value: float


def draw_progress(run_rows: Sequence[RunRow], choose: SelectionCriterion) -> Optional[ThemedFigure]:
    """Draw the value of each trial and the best so far; None if fewer than two are finished."""
    scored = _list_scored_trials(run_rows, choose)
    finished = [trial for trial in scored if trial.row.outcome.is_finished]
    if len(finished) < 2:
        return None
    better = min if choose.sign > 0 else max
    best_values = list(accumulate((trial.value for trial in finished), better))

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _plot_trials(axes, theme, scored, [trial.number for trial in scored])
        axes.step(
            [*(trial.number for trial in finished), len(run_rows)],
            [*best_values, best_values[-1]],
            where="post", color=theme.lines[1], label="best so far",
        )  # fmt: skip
        plots.style_axes(axes, theme, f"{_criterion_title(choose)} of each trial".capitalize())
        axes.set(xlabel="trial", ylabel=_criterion_title(choose))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        plots.add_legend(figure, axes, columns=3)

    best = finished[best_values.index(best_values[-1])]
    alt = (
        f"The {_criterion_title(choose)} of {len(scored)} of {len(run_rows)} trials: "
        f"{best_values[0]:.4g} for the first finished trial, {best.value:.4g} for the best, "
        f"trial {best.number}."
    )
    return plots.draw_themed((6.6, 3.2), draw, alt)


def draw_settings(
    run_rows: Sequence[RunRow], choose: SelectionCriterion, search: Optional[SearchSpec] = None
) -> list[ThemedFigure]:
    """Draw a figure for each setting in which the trials differ."""
    scored = _list_scored_trials(run_rows, choose)
    if len(scored) < 2:
        return []
    # Draw settings with identical values once: the search varies them together.
    distinct: dict[str, tuple[str, list[Any]]] = {}
    for key, values in _list_varied_settings([trial.row.outcome.trial for trial in scored]):
        distinct.setdefault(json.dumps(values), (key, values))
    space = search.space if search else {}
    linear_keys = {
        key for key, entry in space.items() if isinstance(entry, dict) and not entry.get("log")
    }
    return [
        _draw_setting(key, values, scored, choose, key in linear_keys)
        for key, values in distinct.values()
    ]


def _list_varied_settings(planned_trials: Sequence[Trial]) -> list[tuple[str, list[Any]]]:
    """Return the keys of proposed settings, or of those that differ, each with all its values."""
    if all(trial.proposal for trial in planned_trials):
        return [
            (key, [trial.proposal[key] for trial in planned_trials])
            for key in planned_trials[0].proposal
        ]
    configs = [trial.config for trial in planned_trials]
    flattened = [flatten_settings(config.model_dump(mode="json")) for config in configs]
    return [
        (key, [settings.get(key) for settings in flattened])
        for key in rows.list_differing_keys(configs)
    ]


def _list_scored_trials(
    run_rows: Sequence[RunRow], choose: SelectionCriterion
) -> list[_ScoredTrial]:
    values = [
        outcomes.metric_value(row.outcome.result or {}, choose.split, choose.metric)
        for row in run_rows
    ]
    return [
        _ScoredTrial(number, row, value)
        for number, (row, value) in enumerate(zip(run_rows, values), 1)
        if value is not None
    ]


def _criterion_title(choose: SelectionCriterion) -> str:
    return f"{choose.split} {choose.metric}"


def _plot_trials(
    axes: Axes, theme: Theme, scored_trials: Sequence[_ScoredTrial], x_positions: Sequence[float]
) -> None:
    for label, pruned, marker in (("trial", False, "o"), ("pruned", True, "x")):
        points = [
            (x, trial.value)
            for trial, x in zip(scored_trials, x_positions)
            if trial.row.outcome.is_pruned == pruned
        ]
        if points:
            colour = theme.ink if pruned else theme.lines[0]
            axes.plot(*zip(*points), marker, color=colour, label=label, markersize=5)


def _draw_setting(
    key: str,
    values: list[Any],
    scored_trials: Sequence[_ScoredTrial],
    choose: SelectionCriterion,
    is_linear: bool,
) -> ThemedFigure:
    is_numeric = all(type(value) in (int, float) for value in values)
    names = sorted({rows.format_setting(value) for value in values})
    x_positions = (
        values if is_numeric else [names.index(rows.format_setting(value)) for value in values]
    )

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _plot_trials(axes, theme, scored_trials, x_positions)
        if not is_numeric:
            axes.set_xticks(range(len(names)), [plots.printable_label(name) for name in names])
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif not is_linear and min(values) > 0 and max(values) / min(values) >= _LOG_SCALE_RATIO:
            plots.set_log_x(axes, min(values), max(values))
        plots.style_axes(axes, theme, plots.printable_label(key.removeprefix("train.")))
        axes.set_ylabel(_criterion_title(choose))

    better = min if choose.sign > 0 else max
    best = scored_trials.index(better(scored_trials, key=lambda trial: trial.value))
    alt = (
        f"{key} against the {_criterion_title(choose)} of {len(scored_trials)} trials; the best "
        f"value is {rows.format_setting(values[best])} with {scored_trials[best].value:.4g}."
    )
    return plots.draw_themed((3.4, 2.6), draw, alt)
