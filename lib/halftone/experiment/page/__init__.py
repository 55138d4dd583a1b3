"""An experiment as one HTML page: its tables and pictures, and links to each run's own report.

It needs no network, no script and no font, see halftone.report, whose parts it is made of.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from halftone.config import Config
from halftone.experiment import rows
from halftone.experiment.outcomes import StageOutcomes
from halftone.experiment.page import curves, mistakes, runs, times, trials
from halftone.experiment.page.curves import Curves
from halftone.experiment.page.mistakes import Line
from halftone.experiment.rows import Row
from halftone.experiment.spec import Spec, Stage
from halftone.report import confusions, pictures, templates
from halftone.report.plots import Drawn


class Part(NamedTuple):
    """A stage as the page shows it."""

    name: str
    about: str
    table: runs.Table
    chosen_by: Optional[str]
    times: Optional[Drawn]
    curves: Curves
    progress: Optional[Drawn]  # of a search
    settings: list[Drawn]  # of a search: each against what came of it
    mistakes: list[Line]


def render(
    spec: Spec,
    base: Config,
    stages: Sequence[StageOutcomes],
    made: Sequence[Sequence[Row]],
    said: Sequence[str],
    output: str,
    shrunk: Sequence[str],
    kind: str,
) -> str:
    """Return the page. Pictures are drawn from what the runs left below `output`.

    Args:
        made: the rows of each stage's table.
        said: the remarks that belong to the tables.
        shrunk: the flags that made the experiment smaller.
        kind: what the folder of images says of them.
    """
    shards = mistakes.shards(output)
    wrong = [[mistakes.of_run(row.outcome, shards) for row in own] for own in made]
    seen = [one.pixels for own in wrong for run in own if run for one in run.examples]
    kept_px = pictures.kept_px(seen)
    parts = [
        _part(stage, own, base, output, described, mistakes.lines(own, found, kept_px))
        for stage, own, described, found in zip(stages, made, spec.all_stages(), wrong)
    ]
    return templates.page(
        "experiment.html.j2",
        __name__,
        spec=spec,
        parts=parts,
        shrunk=shrunk,
        kind=kind,
        said=said,
        best=_best(made, output),
    )


def _part(
    stage: StageOutcomes,
    own: Sequence[Row],
    base: Config,
    output: str,
    described: Stage,
    wrong: list[Line],
) -> Part:
    is_search = bool(described.search or described.random)
    varied = is_search or described.grid
    return Part(
        name=stage.name,
        about=stage.about,
        table=runs.table(own, base, output),
        chosen_by=rows.chosen_by(stage),
        times=times.figure(own),
        curves=curves.figures(own, stage.choose),
        progress=trials.progress(own, stage.choose) if is_search else None,
        settings=trials.settings(own, stage.choose, described.search) if varied else [],
        mistakes=wrong,
    )


def _best(made: Sequence[Sequence[Row]], output: str) -> Optional[dict[str, Any]]:
    """The best run of the last stage that has one, and its confusion matrix."""
    found = [row.outcome for row in itertools.chain(*made) if row.is_best]
    metrics = runs.metrics(found[-1]) if found else None
    if metrics is None:
        return None
    return {
        "run": found[-1].trial.name,
        "links": runs.links(found[-1], output),
        "metrics": metrics,
        "matrix": confusions.matrix(metrics),
    }
