"""The nights as one HTML page that needs no network: what came of each, and the champion's line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halftone import storage
from halftone.report import plots, templates
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import ratio
from halftone.retrain.job import RetrainJob
from halftone.retrain.state import history
from halftone.retrain.state.history import KEPT, PROMOTED, REFUSED, RetrainOutcome

NAME = "index.html"
# Challengers by what became of them; told apart without colours too.
_MARKS = {PROMOTED: ("o", 0), KEPT: ("s", 1), REFUSED: ("X", 2)}


def write_page(job: RetrainJob) -> str:
    """Write the page of all nights that have ended; return its URL."""
    url = storage.join(job.root, NAME)
    past = history.read_outcomes(job.root)
    text = render_page(job.registry.name, past, job.settings.gate.measure, job.settings.gate.floor)
    storage.write_bytes(url, text.encode())
    return url


def render_page(name: str, outcomes: Sequence[RetrainOutcome], measure: str, floor: float) -> str:
    """Return the page. The same arguments give the same text.

    Args:
        name: of the registered model.
        past: of all nights, in order.
        measure, floor: the gate's.
    """
    return templates.render_page(
        "nights.html.j2",
        __package__,
        name=name,
        measure=measure,
        past=outcomes,
        champion=history.last_champion(outcomes),
        last_promoted=next((one for one in reversed(outcomes) if one["outcome"] == PROMOTED), None),
        figure=champion_figure(outcomes, measure, floor),
    )


def champion_figure(
    outcomes: Sequence[RetrainOutcome], measure: str, floor: float
) -> Optional[ThemedFigure]:
    """The champion's line over the nights, with all challengers; None where none was judged."""
    line = champion_line(outcomes, measure)
    if not line:
        return None
    judged = [one for one in outcomes if one["measures"].get("challenger")]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        nights, values = zip(*line)
        axes.step(nights, values, where="post", color=theme.ink, linewidth=1.8, label="champion")
        for outcome, (marker, colour) in _MARKS.items():
            own = [one for one in judged if one["outcome"] == outcome]
            if own:
                axes.plot(
                    [one["night"] for one in own],
                    [one["measures"]["challenger"][measure] for one in own],
                    marker, color=theme.lines[colour], markersize=6,
                    label=f"challenger, {outcome}",
                )  # fmt: skip
        if floor:
            axes.axhline(floor, color=theme.ink, linestyle=":", linewidth=0.9, label="floor")
        plots.style_axes(axes, theme, f"{measure.capitalize()} on the test rows of each night")
        axes.set_xlabel("night")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.set_xlim(min(nights) - 0.5, max(nights) + 0.5)
        plots.add_legend(figure, axes, columns=3)

    first, last = line[0], line[-1]
    alt = (
        f"{measure.capitalize()} of the champion: {ratio(first[1])} in night {first[0]}, "
        f"{ratio(last[1])} in night {last[0]}; {len(judged)} challengers were judged, "
        f"{sum(one['outcome'] == PROMOTED for one in judged)} of them promoted."
    )
    return plots.draw_themed((6.2, 3.6), draw, alt)


def champion_line(outcomes: Sequence[RetrainOutcome], measure: str) -> list[tuple[int, float]]:
    """(night, the champion's value when it ended) of each night that measured it.

    Nights have other test rows: a step without a promotion is that of the rows, not of the model.
    """
    line = []
    for one in outcomes:
        side: Any = "challenger" if one["outcome"] == PROMOTED else "champion"
        value = one["measures"].get(side)
        if value:
            line.append((one["night"], value[measure]))
    return line
