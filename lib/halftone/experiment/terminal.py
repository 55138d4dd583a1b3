"""Format the table of a stage for a terminal."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence

from halftone import printable
from halftone.config import Config
from halftone.experiment import rows
from halftone.experiment.outcomes import StageOutcomes
from halftone.experiment.rows import RunRow, TableColumn

_WIDTH = 120  # characters


def format_stage(stage: StageOutcomes, run_rows: Sequence[RunRow], base: Config) -> str:
    """Format the figures, split into tables that fit the terminal, and the settings below them."""
    lines, labels = [], [printable.escape(row.label()) for row in run_rows]
    if stage.name:
        about = textwrap.wrap(printable.escape_line(stage.about), _WIDTH)
        lines += [f"== {printable.escape(stage.name)} ==", *about, ""]
    header, widest = rows.list_columns(run_rows), max([3, *map(len, labels)])
    cells = {column: [rows.format_cell(row, column) for row in run_rows] for column in header}
    widths = {column: max(map(len, [column.name, *cells[column]])) for column in header}
    names = ["run".ljust(widest), "-" * widest, *(label.ljust(widest) for label in labels)]
    for block in _split_columns(widths, _WIDTH - widest):
        upper = _group_header(block, widths)
        if upper.strip():
            lines.append((" " * widest + upper).rstrip())
        body = [[column.name for column in block], ["-" * widths[column] for column in block]]
        body += [[cells[column][number] for column in block] for number in range(len(run_rows))]
        for name, row in zip(names, body):
            figures = (cell.rjust(widths[column]) for cell, column in zip(row, block))
            lines.append("  ".join([name, *figures]).rstrip())
        lines.append("")
    return "\n".join([*lines, *_settings_lines(run_rows, base)])


def _split_columns(widths: Mapping[TableColumn, int], max_width: int) -> list[list[TableColumn]]:
    """Split the columns into tables of at most `max_width`, between groups if possible."""
    groups = itertools.groupby(widths, key=lambda column: column.group)
    blocks: list[list[TableColumn]] = [[]]
    free_width = max_width
    for _, members in groups:
        group = list(members)
        group_widths = [2 + widths[column] for column in group]
        if blocks[-1] and free_width < sum(group_widths) <= max_width:
            blocks.append([])
            free_width = max_width
        for column, width in zip(group, group_widths):
            if blocks[-1] and width > free_width:
                blocks.append([])
                free_width = max_width
            blocks[-1].append(column)
            free_width -= width
    return blocks


def _group_header(block: Sequence[TableColumn], widths: Mapping[TableColumn, int]) -> str:
    """Format the line above the header: the name of each group, centred over its columns."""
    line = ""
    for name, members in itertools.groupby(block, key=lambda column: column.group):
        columns = list(members)
        width = sum(widths[column] for column in columns) + 2 * (len(columns) - 1)
        line += "  " + (f" {name} ".center(width, "-")[:width] if name else " " * width)
    return line


def _settings_lines(run_rows: Sequence[RunRow], base: Config) -> list[str]:
    """List the runs whose settings differ from the base, one line each; long lines are wrapped."""
    shared, by_row = rows.describe_settings(run_rows, base)
    entries = [("all runs", shared)]
    entries += [(row.name(), settings) for row, settings in zip(run_rows, by_row)]
    entries = [
        (printable.escape(name), printable.escape_line(settings))
        for name, settings in entries
        if settings
    ]
    if not entries:
        return []
    widest = max(len("settings"), *(len(name) for name, _ in entries))
    lines = [f"{'settings'.ljust(widest)}  that differ from the base"]
    for name, settings in entries:
        wrapped = textwrap.wrap(settings, max(20, _WIDTH - widest - 2), break_on_hyphens=False)
        heads = [name.ljust(widest), *[" " * widest] * (len(wrapped) - 1)]
        lines += [f"{head}  {line}" for head, line in zip(heads, wrapped)]
    return [*lines, ""]
