"""What a search found: the best value so far, and each setting against the value."""

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

_LOG_SCALE_RATIO = (
    30  # from this ratio of the largest value to the smallest on, the axis is logarithmic
)


class _ScoredTrial(NamedTuple):
    number: int  # from 1 on
    row: RunRow
    value: float


def draw_progress(run_rows: Sequence[RunRow], choose: SelectionCriterion) -> Optional[ThemedFigure]:
    """The value of each trial and the best so far; None where there are fewer than two."""
    valued = _list_scored_trials(run_rows, choose)
    finished = [one for one in valued if one.row.outcome.is_finished]
    if len(finished) < 2:
        return None
    better = min if choose.sign > 0 else max
    sofar = list(accumulate((one.value for one in finished), better))

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _plot_trials(axes, theme, valued, [one.number for one in valued])
        axes.step(
            [*(one.number for one in finished), len(run_rows)], [*sofar, sofar[-1]],
            where="post", color=theme.lines[1], label="best so far",
        )  # fmt: skip
        plots.style_axes(axes, theme, f"{_criterion_title(choose)} of each trial".capitalize())
        axes.set(xlabel="trial", ylabel=_criterion_title(choose))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        plots.add_legend(figure, axes, columns=3)

    at = finished[sofar.index(sofar[-1])]
    alt = (
        f"The {_criterion_title(choose)} of {len(valued)} trials of {len(run_rows)}: {sofar[0]:.4g} at the first "
        f"that was finished, and {sofar[-1]:.4g} at the best, trial {at.number}."
    )
    return plots.draw_themed((6.6, 3.2), draw, alt)


def draw_settings(
    run_rows: Sequence[RunRow], choose: SelectionCriterion, search: Optional[SearchSpec] = None
) -> list[ThemedFigure]:
    """A picture for each setting in which the trials differ."""
    valued = _list_scored_trials(run_rows, choose)
    if len(valued) < 2:
        return []
    # Settings that always have the same values as another are one to the search.
    distinct: dict[str, tuple[str, list[Any]]] = {}
    for key, values in _list_varied_settings([one.row.outcome.trial for one in valued]):
        distinct.setdefault(json.dumps(values), (key, values))
    space = search.space if search else {}
    linear = {key for key, own in space.items() if isinstance(own, dict) and not own.get("log")}
    return [
        _draw_setting(key, values, valued, choose, key in linear)
        for key, values in distinct.values()
    ]


def _list_varied_settings(planned_trials: Sequence[Trial]) -> list[tuple[str, list[Any]]]:
    """Settings that a search proposed, or in which runs that were drawn differ; all values."""
    if all(one.proposal for one in planned_trials):
        return [
            (key, [one.proposal[key] for one in planned_trials])
            for key in planned_trials[0].proposal
        ]
    configs = [one.config for one in planned_trials]
    settings = [flatten_settings(config.model_dump(mode="json")) for config in configs]
    return [(key, [one.get(key) for one in settings]) for key in rows.list_differing_keys(configs)]


def _list_scored_trials(
    run_rows: Sequence[RunRow], choose: SelectionCriterion
) -> list[_ScoredTrial]:
    found = [
        (number, row, outcomes.metric_value(row.outcome.result or {}, choose.split, choose.metric))
        for number, row in enumerate(run_rows, 1)
    ]
    return [_ScoredTrial(number, row, value) for number, row, value in found if value is not None]


def _criterion_title(choose: SelectionCriterion) -> str:
    return f"{choose.split} {choose.metric}"


def _plot_trials(
    axes: Axes, theme: Theme, scored_trials: Sequence[_ScoredTrial], x_positions: Sequence[float]
) -> None:
    for label, pruned, marker in (("trial", False, "o"), ("pruned", True, "x")):
        pairs = [
            (place, one.value)
            for one, place in zip(scored_trials, x_positions)
            if one.row.outcome.is_pruned == pruned
        ]
        if pairs:
            colour = theme.ink if pruned else theme.lines[0]
            axes.plot(*zip(*pairs), marker, color=colour, label=label, markersize=5)


def _draw_setting(
    key: str,
    values: list[Any],
    scored_trials: Sequence[_ScoredTrial],
    choose: SelectionCriterion,
    is_linear: bool,
) -> ThemedFigure:
    numeric = all(type(value) in (int, float) for value in values)
    names = sorted({rows.format_setting(value) for value in values})
    places = values if numeric else [names.index(rows.format_setting(value)) for value in values]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _plot_trials(axes, theme, scored_trials, places)
        if not numeric:
            axes.set_xticks(range(len(names)), [plots.printable_label(name) for name in names])
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif not is_linear and min(values) > 0 and max(values) / min(values) >= _LOG_SCALE_RATIO:
            plots.set_log_x(axes, min(values), max(values))
        plots.style_axes(axes, theme, plots.printable_label(key.removeprefix("train.")))
        axes.set_ylabel(_criterion_title(choose))

    better = min if choose.sign > 0 else max
    at = scored_trials.index(better(scored_trials, key=lambda one: one.value))
    alt = (
        f"{key} against the {_criterion_title(choose)} of {len(scored_trials)} trials; best is "
        f"{rows.format_setting(values[at])} with {scored_trials[at].value:.4g}."
    )
    return plots.draw_themed((3.4, 2.6), draw, alt)
