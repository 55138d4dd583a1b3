"""An HTML page of all retraining runs, with their outcomes and a chart of the champion's quality.

The page is self-contained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halftone import storage
from halftone.report import plots, templates
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import ratio
from halftone.retrain.comparison_page import list_compared_runs
from halftone.retrain.job import RetrainJob
from halftone.retrain.state import history
from halftone.retrain.state.history import KEPT, PROMOTED, REFUSED, RetrainOutcome

NAME = "index.html"
# Marker and colour index by the challenger's outcome; shapes differ for readers without colours.
_MARKS = {PROMOTED: ("o", 0), KEPT: ("s", 1), REFUSED: ("X", 2)}


def write_page(job: RetrainJob) -> str:
    """Write the page of all runs that have ended; return its URL."""
    url = storage.join(job.root, NAME)
    outcomes = history.read_outcomes(job.root)
    gate = job.settings.gate
    compared = list_compared_runs(job.root, outcomes)
    text = render_page(job.registry.name, outcomes, gate.measure, gate.floor, compared)
    storage.write_bytes(url, text.encode())
    return url


def render_page(
    name: str,
    outcomes: Sequence[RetrainOutcome],
    measure: str,
    floor: float,
    compared: Mapping[int, str] = {},
) -> str:
    """Return the page as HTML. The same arguments give the same text.

    Args:
        name: name of the registered model.
        outcomes: outcomes of all runs, in order.
        measure, floor: settings of the gate.
        compared: paths of the pages of runs that compared models, by run number.
    """
    promoted = (outcome for outcome in reversed(outcomes) if outcome["outcome"] == PROMOTED)
    return templates.render_page(
        "runs.html.j2",
        __package__,
        name=name,
        measure=measure,
        past=outcomes,
        compared=compared,
        champion=history.last_champion(outcomes),
        last_promoted=next(promoted, None),
        figure=champion_figure(outcomes, measure, floor),
    )


def champion_figure(
    outcomes: Sequence[RetrainOutcome], measure: str, floor: float
) -> Optional[ThemedFigure]:
    """Plot the champion's measure by run, with all challengers; None if no run has measured it."""
    line = champion_line(outcomes, measure)
    if not line:
        return None
    compared = [outcome for outcome in outcomes if outcome["measures"].get("challenger")]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        numbers, values = zip(*line)
        axes.step(numbers, values, where="post", color=theme.ink, linewidth=1.8, label="champion")
        for result, (marker, colour) in _MARKS.items():
            marked = [outcome for outcome in compared if outcome["outcome"] == result]
            if marked:
                axes.plot(
                    [outcome["night"] for outcome in marked],
                    [outcome["measures"]["challenger"][measure] for outcome in marked],
                    marker, color=theme.lines[colour], markersize=6,
                    label=f"challenger, {result}",
                )  # fmt: skip
        if floor:
            axes.axhline(floor, color=theme.ink, linestyle=":", linewidth=0.9, label="floor")
        plots.style_axes(axes, theme, f"{measure.capitalize()} on the test rows of each run")
        axes.set_xlabel("run")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
        plots.add_legend(figure, axes, columns=3)

    first, last = line[0], line[-1]
    alt = (
        f"{measure.capitalize()} of the champion: {ratio(first[1])} in run {first[0]}, "
        f"{ratio(last[1])} in run {last[0]}; {len(compared)} challengers were compared, "
        f"{sum(outcome['outcome'] == PROMOTED for outcome in compared)} of them promoted."
    )
    return plots.draw_themed((6.2, 3.6), draw, alt)


def champion_line(outcomes: Sequence[RetrainOutcome], measure: str) -> list[tuple[int, float]]:
    """Return (run number, the champion's value at its end) of each run that measured it.

    Test rows differ between runs: a change without a promotion is due to the rows, not the model.
    """
    line = []
    for outcome in outcomes:
        side: Any = "challenger" if outcome["outcome"] == PROMOTED else "champion"
        values = outcome["measures"].get(side)
        if values:
            line.append((outcome["night"], values[measure]))
    return line
