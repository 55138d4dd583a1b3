"""What a search found: the best value so far, and each setting against the value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halftone.config import flat
from halftone.experiment import outcomes, rows
from halftone.experiment.planning import Trial
from halftone.experiment.rows import Row
from halftone.experiment.spec import Choose, Search
from halftone.report import plots
from halftone.report.plots import Drawn, Theme

_WIDE = 30  # from this ratio of the largest value to the smallest on, the axis is logarithmic


class _Valued(NamedTuple):
    number: int  # from 1 on
    row: Row
    value: float


def progress(own: Sequence[Row], choose: Choose) -> Optional[Drawn]:
    """The value of each trial and the best so far; None where there are fewer than two."""
    valued = _valued(own, choose)
    finished = [one for one in valued if one.row.outcome.is_finished]
    if len(finished) < 2:
        return None
    better = min if choose.sign > 0 else max
    sofar = list(accumulate((one.value for one in finished), better))

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _scatter(axes, theme, valued, [one.number for one in valued])
        axes.step(
            [*(one.number for one in finished), len(own)], [*sofar, sofar[-1]],
            where="post", color=theme.lines[1], label="best so far",
        )  # fmt: skip
        plots.dress(axes, theme, f"{_title(choose)} of each trial".capitalize())
        axes.set(xlabel="trial", ylabel=_title(choose))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        plots.legend(figure, axes, columns=3)

    at = finished[sofar.index(sofar[-1])]
    alt = (
        f"The {_title(choose)} of {len(valued)} trials of {len(own)}: {sofar[0]:.4g} at the first "
        f"that was finished, and {sofar[-1]:.4g} at the best, trial {at.number}."
    )
    return plots.both((6.6, 3.2), draw, alt)


def settings(own: Sequence[Row], choose: Choose, search: Optional[Search] = None) -> list[Drawn]:
    """A picture for each setting in which the trials differ."""
    valued = _valued(own, choose)
    if len(valued) < 2:
        return []
    # Settings that always have the same values as another are one to the search.
    distinct: dict[str, tuple[str, list[Any]]] = {}
    for key, values in _varied([one.row.outcome.trial for one in valued]):
        distinct.setdefault(json.dumps(values), (key, values))
    space = search.space if search else {}
    linear = {key for key, own in space.items() if isinstance(own, dict) and not own.get("log")}
    return [
        _against(key, values, valued, choose, key in linear) for key, values in distinct.values()
    ]


def _varied(every: Sequence[Trial]) -> list[tuple[str, list[Any]]]:
    """Settings that a search proposed, or in which runs that were drawn differ; all values."""
    if all(one.proposed for one in every):
        return [(key, [one.proposed[key] for one in every]) for key in every[0].proposed]
    configs = [one.config for one in every]
    settings = [flat(config.model_dump(mode="json")) for config in configs]
    return [(key, [one.get(key) for one in settings]) for key in rows.differing(configs)]


def _valued(own: Sequence[Row], choose: Choose) -> list[_Valued]:
    found = [
        (number, row, outcomes.figure(row.outcome.result or {}, choose.split, choose.metric))
        for number, row in enumerate(own, 1)
    ]
    return [_Valued(number, row, value) for number, row, value in found if value is not None]


def _title(choose: Choose) -> str:
    return f"{choose.split} {choose.metric}"


def _scatter(axes: Axes, theme: Theme, valued: Sequence[_Valued], places: Sequence[float]) -> None:
    for label, pruned, marker in (("trial", False, "o"), ("pruned", True, "x")):
        pairs = [
            (place, one.value)
            for one, place in zip(valued, places)
            if one.row.outcome.is_pruned == pruned
        ]
        if pairs:
            colour = theme.ink if pruned else theme.lines[0]
            axes.plot(*zip(*pairs), marker, color=colour, label=label, markersize=5)


def _against(
    key: str, values: list[Any], valued: Sequence[_Valued], choose: Choose, is_linear: bool
) -> Drawn:
    numeric = all(type(value) in (int, float) for value in values)
    names = sorted({rows.compact(value) for value in values})
    places = values if numeric else [names.index(rows.compact(value)) for value in values]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _scatter(axes, theme, valued, places)
        if not numeric:
            axes.set_xticks(range(len(names)), [plots.written(name) for name in names])
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif not is_linear and min(values) > 0 and max(values) / min(values) >= _WIDE:
            plots.log_x(axes, min(values), max(values))
        plots.dress(axes, theme, plots.written(key.removeprefix("train.")))
        axes.set_ylabel(_title(choose))

    better = min if choose.sign > 0 else max
    at = valued.index(better(valued, key=lambda one: one.value))
    alt = (
        f"{key} against the {_title(choose)} of {len(valued)} trials; best is "
        f"{rows.compact(values[at])} with {valued[at].value:.4g}."
    )
    return plots.both((3.4, 2.6), draw, alt)
