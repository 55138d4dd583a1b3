"""Render an experiment as one HTML page: tables, plots and links to the report of each run.

The page needs no network, scripts or fonts. It is built from the parts of halftone.report.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from halftone.experiment import rows
from halftone.experiment.outcomes import ExperimentResults, StageOutcomes
from halftone.experiment.page import curves, mistakes, runs, times, trials
from halftone.experiment.page.curves import LearningCurves
from halftone.experiment.page.mistakes import MistakesGallery
from halftone.experiment.rows import RunRow
from halftone.experiment.spec import StageSpec
from halftone.report import confusions, pictures, templates
from halftone.report.plots import ThemedFigure


class StageSection(NamedTuple):
    """Content of the section of a stage."""

    name: str
    about: str
    table: runs.RunTable
    criterion: Optional[str]
    time_figure: Optional[ThemedFigure]
    curves: LearningCurves
    progress_figure: Optional[ThemedFigure]  # of a search
    setting_figures: list[ThemedFigure]  # one for each setting: its values against the results
    mistakes: list[MistakesGallery]


def render_experiment(
    results: ExperimentResults,
    rows_by_stage: Sequence[Sequence[RunRow]],
    remarks: Sequence[str],
    images_description: str,
) -> str:
    """Render the page. Plots and images are read from the files of the runs.

    Args:
        results: The experiment and its outcomes.
        rows_by_stage: The table rows of each stage.
        remarks: The remarks below the tables.
        images_description: Description stored in a folder of generated images.
    """
    shards = mistakes.locate_shards(results.output)
    mistakes_by_stage = [
        [mistakes.find_mistakes(row.outcome, shards) for row in run_rows]
        for run_rows in rows_by_stage
    ]
    examples_pixels = [
        example.pixels
        for mistakes_by_run in mistakes_by_stage
        for run_mistakes in mistakes_by_run
        if run_mistakes
        for example in run_mistakes.examples
    ]
    max_side_px = pictures.choose_max_side_px(examples_pixels)
    stage_specs = results.spec.all_stages()
    sections = []
    for stage, stage_spec, run_rows, mistakes_by_run in zip(
        results.stages, stage_specs, rows_by_stage, mistakes_by_stage
    ):
        galleries = mistakes.build_galleries(run_rows, mistakes_by_run, max_side_px)
        sections.append(_build_section(results, stage, stage_spec, run_rows, galleries))
    return templates.render_page(
        "experiment.html.j2",
        __name__,
        spec=results.spec,
        parts=sections,
        shrunk=results.shrunk,
        kind=images_description,
        said=remarks,
        best=_describe_best_run(rows_by_stage, results.output),
    )


def _build_section(
    results: ExperimentResults,
    stage: StageOutcomes,
    stage_spec: StageSpec,
    run_rows: Sequence[RunRow],
    galleries: list[MistakesGallery],
) -> StageSection:
    is_search = bool(stage_spec.search or stage_spec.random)
    varied = is_search or stage_spec.grid
    return StageSection(
        name=stage.name,
        about=stage.about,
        table=runs.build_table(run_rows, results.base, results.output),
        criterion=rows.describe_criterion(stage),
        time_figure=times.draw_time_against_score(run_rows),
        curves=curves.draw_run_curves(run_rows, stage.choose),
        progress_figure=trials.draw_progress(run_rows, stage.choose) if is_search else None,
        setting_figures=trials.draw_settings(run_rows, stage.choose, stage_spec.search)
        if varied
        else [],
        mistakes=galleries,
    )


def _describe_best_run(
    rows_by_stage: Sequence[Sequence[RunRow]], output: str
) -> Optional[dict[str, Any]]:
    """Describe the best run of the last stage that has one, with its confusion matrix."""
    best_outcomes = [row.outcome for row in itertools.chain(*rows_by_stage) if row.is_best]
    metrics = runs.read_metrics(best_outcomes[-1]) if best_outcomes else None
    if metrics is None:
        return None
    return {
        "run": best_outcomes[-1].trial.name,
        "links": runs.list_report_links(best_outcomes[-1], output),
        "metrics": metrics,
        "matrix": confusions.build_confusion_matrix(metrics),
    }
