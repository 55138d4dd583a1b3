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
from halftone.experiment.page.curves import LearningCurves
from halftone.experiment.page.mistakes import MistakesGallery
from halftone.experiment.rows import RunRow
from halftone.experiment.spec import ExperimentSpec, StageSpec
from halftone.report import confusions, pictures, templates
from halftone.report.plots import ThemedFigure


class StageSection(NamedTuple):
    """A stage as the page shows it."""

    name: str
    about: str
    table: runs.RunTable
    criterion: Optional[str]
    time_figure: Optional[ThemedFigure]
    curves: LearningCurves
    progress_figure: Optional[ThemedFigure]  # of a search
    setting_figures: list[ThemedFigure]  # of a search: each against what came of it
    mistakes: list[MistakesGallery]


def render_experiment(
    spec: ExperimentSpec,
    base: Config,
    stages: Sequence[StageOutcomes],
    rows_by_stage: Sequence[Sequence[RunRow]],
    remarks: Sequence[str],
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
    shards = mistakes.locate_shards(output)
    wrong = [[mistakes.find_mistakes(row.outcome, shards) for row in own] for own in rows_by_stage]
    seen = [one.pixels for own in wrong for run in own if run for one in run.examples]
    kept_px = pictures.choose_max_side_px(seen)
    parts = [
        _build_section(
            stage, own, base, output, described, mistakes.build_galleries(own, found, kept_px)
        )
        for stage, own, described, found in zip(stages, rows_by_stage, spec.all_stages(), wrong)
    ]
    return templates.render_page(
        "experiment.html.j2",
        __name__,
        spec=spec,
        parts=parts,
        shrunk=shrunk,
        kind=kind,
        said=remarks,
        best=_describe_best_run(rows_by_stage, output),
    )


def _build_section(
    stage: StageOutcomes,
    run_rows: Sequence[RunRow],
    base: Config,
    output: str,
    stage_spec: StageSpec,
    mistakes_by_run: list[MistakesGallery],
) -> StageSection:
    is_search = bool(stage_spec.search or stage_spec.random)
    varied = is_search or stage_spec.grid
    return StageSection(
        name=stage.name,
        about=stage.about,
        table=runs.build_table(run_rows, base, output),
        criterion=rows.describe_criterion(stage),
        time_figure=times.draw_time_against_score(run_rows),
        curves=curves.draw_run_curves(run_rows, stage.choose),
        progress_figure=trials.draw_progress(run_rows, stage.choose) if is_search else None,
        setting_figures=trials.draw_settings(run_rows, stage.choose, stage_spec.search)
        if varied
        else [],
        mistakes=mistakes_by_run,
    )


def _describe_best_run(
    rows_by_stage: Sequence[Sequence[RunRow]], output: str
) -> Optional[dict[str, Any]]:
    """The best run of the last stage that has one, and its confusion matrix."""
    found = [row.outcome for row in itertools.chain(*rows_by_stage) if row.is_best]
    metrics = runs.read_metrics(found[-1]) if found else None
    if metrics is None:
        return None
    return {
        "run": found[-1].trial.name,
        "links": runs.list_report_links(found[-1], output),
        "metrics": metrics,
        "matrix": confusions.build_confusion_matrix(metrics),
    }
