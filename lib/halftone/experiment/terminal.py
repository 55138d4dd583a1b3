"""The table of a stage on a terminal."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence

from halftone.config import Config
from halftone.experiment import rows
from halftone.experiment.outcomes import StageOutcomes
from halftone.experiment.rows import RunRow, TableColumn

_WIDTH = 120  # characters


def format_stage(stage: StageOutcomes, run_rows: Sequence[RunRow], base: Config) -> str:
    """Figures, in as many tables as a terminal's width asks for, and the settings below them."""
    lines = []
    if stage.name:
        about = textwrap.wrap(stage.about, _WIDTH)
        lines += [f"== {stage.name} ==", *about, ""]
    header, widest = rows.list_columns(run_rows), max([3, *(len(row.label()) for row in run_rows)])
    cells = {column: [rows.format_cell(row, column) for row in run_rows] for column in header}
    widths = {column: max(map(len, [column.name, *cells[column]])) for column in header}
    names = ["run".ljust(widest), "-" * widest, *(row.label().ljust(widest) for row in run_rows)]
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
    """Cut the columns into tables that fit, between groups where that is possible."""
    groups = [list(own) for _, own in itertools.groupby(widths, key=lambda column: column.group)]
    blocks: list[list[TableColumn]] = [[]]
    left = max_width
    for group in groups:
        needs = [2 + widths[column] for column in group]
        if blocks[-1] and left < sum(needs) <= max_width:
            blocks.append([])
            left = max_width
        for column, need in zip(group, needs):
            if blocks[-1] and need > left:
                blocks.append([])
                left = max_width
            blocks[-1].append(column)
            left -= need
    return blocks


def _group_header(block: Sequence[TableColumn], widths: Mapping[TableColumn, int]) -> str:
    """The line above the header: the name of each group, over all its columns."""
    line = ""
    for name, own in itertools.groupby(block, key=lambda column: column.group):
        members = list(own)
        width = sum(widths[column] for column in members) + 2 * (len(members) - 1)
        line += "  " + (f" {name} ".center(width, "-")[:width] if name else " " * width)
    return line


def _settings_lines(run_rows: Sequence[RunRow], base: Config) -> list[str]:
    """A line for each run that has settings of its own, folded where it is long."""
    shared, each = rows.describe_settings(run_rows, base)
    found = [("all runs", shared), *((row.name(), own) for row, own in zip(run_rows, each))]
    found = [(name, settings) for name, settings in found if settings]
    if not found:
        return []
    widest = max(len("settings"), *(len(name) for name, _ in found))
    lines = [f"{'settings'.ljust(widest)}  unlike the base's"]
    for name, settings in found:
        folded = textwrap.wrap(settings, max(20, _WIDTH - widest - 2), break_on_hyphens=False)
        heads = [name.ljust(widest), *[" " * widest] * (len(folded) - 1)]
        lines += [f"{head}  {line}" for head, line in zip(heads, folded)]
    return [*lines, ""]
