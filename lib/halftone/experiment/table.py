"""The table of an experiment, in four forms: for a terminal, as Markdown, as CSV, as a page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from halftone import storage
from halftone.config import Config
from halftone.dataset.splits import TEST, TRAIN, VALIDATION
from halftone.experiment import page, rows, terminal
from halftone.experiment.outcomes import StageOutcomes
from halftone.experiment.rows import RunRow
from halftone.experiment.spec import ExperimentSpec
from halftone.sample.sample_info import read_sample_description

MARKDOWN, CSV, PAGE = "table.md", "table.csv", "index.html"


def write_tables(
    spec: ExperimentSpec,
    base: Config,
    stages: Sequence[StageOutcomes],
    output: str,
    shrunk: Sequence[str] = (),
) -> str:
    """Write all forms to `output`; return the table and its remarks as a terminal shows them."""
    made = [rows.build_rows(stage, base) for stage in stages]
    images = str(base.paths.images)
    kind = read_sample_description(images)
    said = list_remarks(spec, stages, images, shrunk, kind)
    forms = {
        MARKDOWN: format_markdown(spec, base, stages, made, said),
        CSV: format_csv(stages, made),
        PAGE: page.render_experiment(spec, base, stages, made, said, output, shrunk, kind),
    }
    for name, text in forms.items():
        storage.write_bytes(storage.join(output, name), text.encode())
    blocks = [terminal.format_stage(stage, own, base) for stage, own in zip(stages, made)]
    places = [f"table: {storage.join(output, name)}" for name in (MARKDOWN, CSV)]
    return "\n".join([*blocks, *said, *places, f"page: {storage.join(output, PAGE)}"])


def list_remarks(
    spec: ExperimentSpec,
    stages: Sequence[StageOutcomes],
    images: str,
    shrunk: Sequence[str] = (),
    kind: str = "",
) -> list[str]:
    """What must be read with the table: whose images, what was shrunk, what a paper left open.

    Args:
        kind: what the folder of images says of them.
    """
    lines = [f"experiment: {spec.name}" + f" ({spec.about})" * bool(spec.about)]
    lines.append(f"images: {', '.join(filter(None, [images, spec.source, kind]))}")
    if shrunk:
        lines.append(f"shrunk by {', '.join(shrunk)}: not to be compared with a paper's figures")
    if spec.folds:
        lines.append(f"figures are means over {spec.folds} folds, ± their standard deviation")
    for stage, described in zip(stages, spec.all_stages()):
        where = f"{stage.name}: " if stage.name else ""
        sizes = _describe_row_counts(stage.row_counts)
        lines += [f"{where}{sizes}"] if sizes else []
        if described.subset:
            lines.append(f"{where}at most {described.subset:,} images, as many of each class")
        by = rows.describe_criterion(stage)
        if by is not None:
            kept = next(one.folder for one in stage.outcomes if one.trial.name == stage.best)
            lines.append(f"{where}* the best run, {stage.best}: {by}; kept in {kept}")
        for one in stage.outcomes:
            if one.trial.note:
                lines.append(f"{where}{one.trial.name}: {one.trial.note}")
            if one.error:
                lines.append(f"{where}{one.trial.name}: failed: {one.error}; its log is {one.log}")
    return lines


def _describe_row_counts(row_counts: Sequence[Mapping[str, int]]) -> str:
    """How many images a stage's trainings had of each split, in words."""
    uses = {TRAIN: "to train on", VALIDATION: "held out to validate", TEST: "to test"}
    parts = []
    for split, use in uses.items():
        counts = sorted({own.get(split, 0) for own in row_counts})
        if counts and counts[-1]:
            span = counts[:1] + counts[-1:] * (len(counts) > 1)
            parts.append(f"{' to '.join(f'{count:,}' for count in span)} {use}")
    return "rows: " * bool(parts) + ", ".join(parts)


def format_csv(stages: Sequence[StageOutcomes], rows_by_stage: Sequence[Sequence[RunRow]]) -> str:
    """All stages in one table: a setting in each column, numbers in full."""
    every = [row for own in rows_by_stage for row in own]
    settings = list(dict.fromkeys(key for row in every for key in row.settings))
    shown = rows.list_columns(every)
    spread = [column for column in shown if any(column in row.stds for row in every)]
    of_stage = ["stage"] if any(stage.name for stage in stages) else []
    header = [*of_stage, "run", "best", "state", *settings, *(each.title() for each in shown)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, *(f"{each.title()} std" for each in spread)])
    for stage, own in zip(stages, rows_by_stage):
        for row in own:
            state = row.state().partition(" ")[0] or "finished"
            cells = [stage.name] * len(of_stage) + [row.name(), json.dumps(row.is_best), state]
            cells += [_format_csv_cell(row.settings.get(key)) for key in settings]
            cells += [_format_csv_cell(row.values.get(column)) for column in shown]
            writer.writerow(
                [*cells, *(_format_csv_cell(row.stds.get(column)) for column in spread)]
            )
    return text.getvalue()


def _format_csv_cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def format_markdown(
    spec: ExperimentSpec,
    base: Config,
    stages: Sequence[StageOutcomes],
    rows_by_stage: Sequence[Sequence[RunRow]],
    remarks: Sequence[str],
) -> str:
    lines = [f"# {spec.name}", ""]
    for stage, own in zip(stages, rows_by_stage):
        if stage.name:
            lines += [f"## {stage.name}", "", *([stage.about, ""] if stage.about else [])]
        shown = rows.list_columns(own)
        shared, each = rows.describe_settings(own, base)
        if shared:
            lines += [f"All runs: `{shared}`", ""]
        lines.append(_markdown_row(["run", "settings", *(column.title() for column in shown)]))
        lines.append("|---|---" + "|--:" * len(shown) + "|")
        for row, settings in zip(own, each):
            figures = [rows.format_cell(row, column) for column in shown]
            lines.append(_markdown_row([row.label(), settings or "-", *figures]))
        lines.append("")
    return "\n".join([*lines, *(f"- {_escape_markdown(line)}" for line in remarks), ""])


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape_markdown(cell) for cell in cells) + " |"


def _escape_markdown(text: str) -> str:
    """Free of what Markdown would take for its own in a run's settings or an error."""
    for character in "|*<":
        text = text.replace(character, f"\\{character}")
    return text
