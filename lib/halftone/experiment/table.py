"""Write the table of an experiment: for a terminal, as Markdown, as CSV and as an HTML page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from halftone import printable, storage
from halftone.dataset.splits import TEST, TRAIN, VALIDATION
from halftone.experiment import page, rows, terminal
from halftone.experiment.outcomes import ExperimentResults, StageOutcomes
from halftone.experiment.rows import RunRow
from halftone.experiment.spec import StageSpec
from halftone.sample.sample_info import read_sample_description

MARKDOWN, CSV, PAGE = "table.md", "table.csv", "index.html"


def write_tables(results: ExperimentResults) -> str:
    """Write the table in all formats to the output of the experiment.

    Returns:
        The table and its remarks, formatted for a terminal.
    """
    rows_by_stage = [rows.build_rows(stage, results.base) for stage in results.stages]
    description = read_sample_description(results.images)
    remarks = list_remarks(results, description)
    files = {
        MARKDOWN: format_markdown(results, rows_by_stage, remarks),
        CSV: format_csv(results.stages, rows_by_stage),
        PAGE: page.render_experiment(results, rows_by_stage, remarks, description),
    }
    urls = {name: storage.join(results.output, name) for name in files}
    for name, text in files.items():
        storage.write_bytes(urls[name], text.encode())
    tables = [
        terminal.format_stage(stage, stage_rows, results.base)
        for stage, stage_rows in zip(results.stages, rows_by_stage)
    ]
    locations = [f"table: {urls[MARKDOWN]}", f"table: {urls[CSV]}", f"page: {urls[PAGE]}"]
    return "\n".join([*tables, *remarks, *locations])


def list_remarks(results: ExperimentResults, images_description: str = "") -> list[str]:
    """Return the remarks below the table: data, limits, best runs, notes and errors, one line each.

    Args:
        results: The experiment and its outcomes.
        images_description: Description stored in a folder of generated images.
    """
    spec = results.spec
    lines = [f"experiment: {spec.name}" + f" ({spec.about})" * bool(spec.about)]
    sources = filter(None, [results.images, spec.source, images_description])
    lines.append(f"images: {', '.join(sources)}")
    if results.shrunk:
        lines.append(
            f"shrunk by {', '.join(results.shrunk)}: not comparable with a paper's figures"
        )
    if spec.folds:
        lines.append(f"figures are means over {spec.folds} folds, ± their standard deviation")
    for stage, stage_spec in zip(results.stages, spec.all_stages()):
        prefix = f"{stage.name}: " if stage.name else ""
        lines += [prefix + remark for remark in _list_stage_remarks(stage, stage_spec)]
    return [printable.escape_line(line) for line in lines]


def _list_stage_remarks(stage: StageOutcomes, stage_spec: StageSpec) -> list[str]:
    lines = []
    row_counts = _describe_row_counts(stage.row_counts)
    if row_counts:
        lines.append(row_counts)
    if stage_spec.subset:
        lines.append(f"at most {stage_spec.subset:,} images, equally many of each class")
    criterion = rows.describe_criterion(stage)
    if criterion is not None:
        best = next(outcome for outcome in stage.outcomes if outcome.trial.name == stage.best)
        lines.append(f"* best run: {stage.best} ({criterion}); stored in {best.folder}")
    for outcome in stage.outcomes:
        name = outcome.trial.name
        if outcome.trial.note:
            lines.append(f"{name}: {outcome.trial.note}")
        if outcome.error:
            lines.append(f"{name}: failed: {outcome.error}; its log is {outcome.log}")
    return lines


def _describe_row_counts(row_counts: Sequence[Mapping[str, int]]) -> str:
    """Describe the range of row counts of each split over the trainings of a stage."""
    uses = {TRAIN: "for training", VALIDATION: "for validation", TEST: "for testing"}
    parts = []
    for split, use in uses.items():
        counts = sorted({counts_by_split.get(split, 0) for counts_by_split in row_counts})
        if counts and counts[-1]:
            bounds = counts[:1] + counts[-1:] * (len(counts) > 1)
            parts.append(f"{' to '.join(f'{count:,}' for count in bounds)} {use}")
    return "rows: " * bool(parts) + ", ".join(parts)


def format_csv(stages: Sequence[StageOutcomes], rows_by_stage: Sequence[Sequence[RunRow]]) -> str:
    """Format all stages as one CSV table, with a column for each setting and unrounded numbers."""
    all_rows = [row for stage_rows in rows_by_stage for row in stage_rows]
    settings = list(dict.fromkeys(key for row in all_rows for key in row.settings))
    columns = rows.list_columns(all_rows)
    std_columns = [column for column in columns if any(column in row.stds for row in all_rows)]
    stage_header = ["stage"] if any(stage.name for stage in stages) else []
    header = [*stage_header, "run", "best", "state", *settings]
    header += [column.title() for column in columns]
    header += [f"{column.title()} std" for column in std_columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for stage, stage_rows in zip(stages, rows_by_stage):
        for row in stage_rows:
            state = row.state().partition(" ")[0] or "finished"
            cells = [stage.name] * len(stage_header) + [row.name(), json.dumps(row.is_best), state]
            cells += [_format_csv_cell(row.settings.get(key)) for key in settings]
            cells += [_format_csv_cell(row.values.get(column)) for column in columns]
            cells += [_format_csv_cell(row.stds.get(column)) for column in std_columns]
            writer.writerow(cells)
    return text.getvalue()


def _format_csv_cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def format_markdown(
    results: ExperimentResults,
    rows_by_stage: Sequence[Sequence[RunRow]],
    remarks: Sequence[str],
) -> str:
    """Format the experiment as Markdown, with one table for each stage."""
    lines = [f"# {results.spec.name}", ""]
    for stage, stage_rows in zip(results.stages, rows_by_stage):
        if stage.name:
            lines += [f"## {stage.name}", "", *([stage.about, ""] if stage.about else [])]
        columns = rows.list_columns(stage_rows)
        shared, by_row = rows.describe_settings(stage_rows, results.base)
        if shared:
            lines += [f"All runs: `{shared}`", ""]
        lines.append(_markdown_row(["run", "settings", *(column.title() for column in columns)]))
        lines.append("|---|---" + "|--:" * len(columns) + "|")
        for row, settings in zip(stage_rows, by_row):
            figures = [rows.format_cell(row, column) for column in columns]
            lines.append(_markdown_row([row.label(), settings or "-", *figures]))
        lines.append("")
    return "\n".join([*lines, *(f"- {_escape_markdown(line)}" for line in remarks), ""])


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape_markdown(cell) for cell in cells) + " |"


def _escape_markdown(text: str) -> str:
    """Escape the Markdown syntax that occurs in settings and error messages."""
    for character in "|*<":
        text = text.replace(character, f"\\{character}")
    return text
