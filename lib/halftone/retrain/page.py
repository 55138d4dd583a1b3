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
from halftone.retrain.comparison_page import RunPages, list_run_pages
from halftone.retrain.gate.compare import CHALLENGER
from halftone.retrain.job import RetrainJob
from halftone.retrain.state import history
from halftone.retrain.state.history import KEPT, PROMOTED, REFUSED, RetrainOutcome

NAME = "index.html"
# Marker by the challenger's outcome; shapes differ for readers without colours.
_MARKERS = {PROMOTED: "o", KEPT: "s", REFUSED: "X"}


def page_url(root: str) -> str:
    """Return the URL of the page of all runs, whether or not it exists yet."""
    return storage.join(root, NAME)


def write_page(job: RetrainJob) -> str:
    """Write the page of all runs that have ended; return its URL."""
    url = page_url(job.root)
    outcomes = history.read_outcomes(job.root)
    gate = job.settings.gate
    pages = list_run_pages(job.root, outcomes)
    text = render_page(job.registry.name, outcomes, gate.measure, gate.floor, pages)
    storage.write_bytes(url, text.encode())
    return url


def render_page(
    name: str,
    outcomes: Sequence[RetrainOutcome],
    measure: str,
    floor: float,
    pages: Mapping[int, RunPages] = {},
) -> str:
    """Return the page as HTML. The same arguments give the same text.

    Args:
        name: name of the registered model.
        outcomes: outcomes of all runs, in order.
        measure, floor: settings of the gate.
        pages: of the runs, by run number.
    """
    promoted = (outcome for outcome in reversed(outcomes) if outcome["outcome"] == PROMOTED)
    return templates.render_page(
        "runs.html.j2",
        __package__,
        name=name,
        measure=measure,
        past=outcomes,
        pages=pages,
        champion=history.last_champion(outcomes),
        last_promoted=next(promoted, None),
        figure=champion_figure(outcomes, measure, floor),
    )


def champion_figure(
    outcomes: Sequence[RetrainOutcome], measure: str, floor: float
) -> Optional[ThemedFigure]:
    """Plot the champion's measure by run, with all challengers; None if no run has measured it."""
    line = champion_line(outcomes, measure)
    compared = [outcome for outcome in outcomes if outcome["measures"].get(CHALLENGER)]
    if not line and not compared:
        return None
    numbers = [number for number, _ in line] + [outcome["night"] for outcome in compared]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        if line:
            # To the right edge, as the last value holds after its run.
            runs, values = zip(*line, (max(numbers) + 0.5, line[-1][1]))
            axes.step(runs, values, where="post", color=theme.ink, linewidth=1.8, label="champion")
        promoted_colour, refused_colour = theme.lines[:2]
        colours = {PROMOTED: promoted_colour, KEPT: theme.ink, REFUSED: refused_colour}
        for result, marker in _MARKERS.items():
            marked = [outcome for outcome in compared if outcome["outcome"] == result]
            if marked:
                axes.plot(
                    [outcome["night"] for outcome in marked],
                    [outcome["measures"][CHALLENGER][measure] for outcome in marked],
                    marker, color=colours[result], markersize=6,
                    markerfacecolor="none" if result == KEPT else colours[result],
                    label=f"challenger, {result}",
                )  # fmt: skip
        if floor:
            axes.axhline(floor, color=theme.ink, linestyle=":", linewidth=0.9, label="floor")
        plots.style_axes(axes, theme, f"{measure.capitalize()} on the test rows of each run")
        axes.set_xlabel("run")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        # A challenger that was refused may come before the first champion.
        axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
        plots.add_legend(figure, axes, columns=3)

    champion_words = (
        f"{ratio(line[0][1])} in run {line[0][0]}, {ratio(line[-1][1])} in run {line[-1][0]}"
        if line
        else "none yet"
    )
    num_promoted = sum(outcome["outcome"] == PROMOTED for outcome in compared)
    alt = (
        f"{measure.capitalize()} of the champion: {champion_words}; {len(compared)} "
        f"challenger{'s were' if len(compared) != 1 else ' was'} compared, {num_promoted} of them "
        "promoted."
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
