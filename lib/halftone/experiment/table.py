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
from halftone.experiment.rows import Row
from halftone.experiment.spec import Spec
from halftone.sample.generate import kind_of

MARKDOWN, CSV, PAGE = "table.md", "table.csv", "index.html"


def write(
    spec: Spec,
    base: Config,
    stages: Sequence[StageOutcomes],
    output: str,
    shrunk: Sequence[str] = (),
) -> str:
    """Write all forms to `output`; return the table and its remarks as a terminal shows them."""
    made = [rows.of_stage(stage, base) for stage in stages]
    images = str(base.paths.images)
    kind = kind_of(images)
    said = remarks(spec, stages, images, shrunk, kind)
    forms = {
        MARKDOWN: as_markdown(spec, base, stages, made, said),
        CSV: as_csv(stages, made),
        PAGE: page.render(spec, base, stages, made, said, output, shrunk, kind),
    }
    for name, text in forms.items():
        storage.write_bytes(storage.join(output, name), text.encode())
    blocks = [terminal.as_text(stage, own, base) for stage, own in zip(stages, made)]
    places = [f"table: {storage.join(output, name)}" for name in (MARKDOWN, CSV)]
    return "\n".join([*blocks, *said, *places, f"page: {storage.join(output, PAGE)}"])


def remarks(
    spec: Spec,
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
        sizes = _sizes(stage.rows)
        lines += [f"{where}{sizes}"] if sizes else []
        if described.subset:
            lines.append(f"{where}at most {described.subset:,} images, as many of each class")
        by = rows.chosen_by(stage)
        if by is not None:
            kept = next(one.folder for one in stage.outcomes if one.trial.name == stage.best)
            lines.append(f"{where}* the best run, {stage.best}: {by}; kept in {kept}")
        for one in stage.outcomes:
            if one.trial.note:
                lines.append(f"{where}{one.trial.name}: {one.trial.note}")
            if one.error:
                lines.append(f"{where}{one.trial.name}: failed: {one.error}; its log is {one.log}")
    return lines


def _sizes(rows: Sequence[Mapping[str, int]]) -> str:
    """How many images a stage's trainings had of each split, in words."""
    uses = {TRAIN: "to train on", VALIDATION: "held out to validate", TEST: "to test"}
    parts = []
    for split, use in uses.items():
        counts = sorted({own.get(split, 0) for own in rows})
        if counts and counts[-1]:
            span = counts[:1] + counts[-1:] * (len(counts) > 1)
            parts.append(f"{' to '.join(f'{count:,}' for count in span)} {use}")
    return "rows: " * bool(parts) + ", ".join(parts)


def as_csv(stages: Sequence[StageOutcomes], made: Sequence[Sequence[Row]]) -> str:
    """All stages in one table: a setting in each column, numbers in full."""
    every = [row for own in made for row in own]
    settings = list(dict.fromkeys(key for row in every for key in row.settings))
    shown = rows.columns(every)
    spread = [column for column in shown if any(column in row.stds for row in every)]
    of_stage = ["stage"] if any(stage.name for stage in stages) else []
    header = [*of_stage, "run", "best", "state", *settings, *(each.title() for each in shown)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, *(f"{each.title()} std" for each in spread)])
    for stage, own in zip(stages, made):
        for row in own:
            state = row.state().partition(" ")[0] or "finished"
            cells = [stage.name] * len(of_stage) + [row.name(), json.dumps(row.is_best), state]
            cells += [_plain(row.settings.get(key)) for key in settings]
            cells += [_plain(row.figures.get(column)) for column in shown]
            writer.writerow([*cells, *(_plain(row.stds.get(column)) for column in spread)])
    return text.getvalue()


def _plain(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def as_markdown(
    spec: Spec,
    base: Config,
    stages: Sequence[StageOutcomes],
    made: Sequence[Sequence[Row]],
    said: Sequence[str],
) -> str:
    lines = [f"# {spec.name}", ""]
    for stage, own in zip(stages, made):
        if stage.name:
            lines += [f"## {stage.name}", "", *([stage.about, ""] if stage.about else [])]
        shown = rows.columns(own)
        shared, each = rows.own_settings(own, base)
        if shared:
            lines += [f"All runs: `{shared}`", ""]
        lines.append(_piped(["run", "settings", *(column.title() for column in shown)]))
        lines.append("|---|---" + "|--:" * len(shown) + "|")
        for row, settings in zip(own, each):
            figures = [rows.written(row, column) for column in shown]
            lines.append(_piped([row.marked(), settings or "-", *figures]))
        lines.append("")
    return "\n".join([*lines, *(f"- {_escaped(line)}" for line in said), ""])


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Free of what Markdown would take for its own in a run's settings or an error."""
    for character in "|*<":
        text = text.replace(character, f"\\{character}")
    return text
