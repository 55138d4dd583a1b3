"""The table of a stage on a terminal."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence

from halftone.config import Config
from halftone.experiment import rows
from halftone.experiment.outcomes import StageOutcomes
from halftone.experiment.rows import Column, Row

_WIDTH = 120  # characters


def as_text(stage: StageOutcomes, made: Sequence[Row], base: Config) -> str:
    """Figures, in as many tables as a terminal's width asks for, and the settings below them."""
    lines = []
    if stage.name:
        about = textwrap.wrap(stage.about, _WIDTH)
        lines += [f"== {stage.name} ==", *about, ""]
    header, widest = rows.columns(made), max([3, *(len(row.marked()) for row in made)])
    cells = {column: [rows.written(row, column) for row in made] for column in header}
    widths = {column: max(map(len, [column.name, *cells[column]])) for column in header}
    names = ["run".ljust(widest), "-" * widest, *(row.marked().ljust(widest) for row in made)]
    for block in _blocks(widths, _WIDTH - widest):
        upper = _groups(block, widths)
        if upper.strip():
            lines.append((" " * widest + upper).rstrip())
        body = [[column.name for column in block], ["-" * widths[column] for column in block]]
        body += [[cells[column][number] for column in block] for number in range(len(made))]
        for name, row in zip(names, body):
            figures = (cell.rjust(widths[column]) for cell, column in zip(row, block))
            lines.append("  ".join([name, *figures]).rstrip())
        lines.append("")
    return "\n".join([*lines, *_settings(made, base)])


def _blocks(widths: Mapping[Column, int], room: int) -> list[list[Column]]:
    """Cut the columns into tables that fit, between groups where that is possible."""
    groups = [list(own) for _, own in itertools.groupby(widths, key=lambda column: column.group)]
    blocks: list[list[Column]] = [[]]
    left = room
    for group in groups:
        needs = [2 + widths[column] for column in group]
        if blocks[-1] and left < sum(needs) <= room:
            blocks.append([])
            left = room
        for column, need in zip(group, needs):
            if blocks[-1] and need > left:
                blocks.append([])
                left = room
            blocks[-1].append(column)
            left -= need
    return blocks


def _groups(block: Sequence[Column], widths: Mapping[Column, int]) -> str:
    """The line above the header: the name of each group, over all its columns."""
    line = ""
    for name, own in itertools.groupby(block, key=lambda column: column.group):
        members = list(own)
        width = sum(widths[column] for column in members) + 2 * (len(members) - 1)
        line += "  " + (f" {name} ".center(width, "-")[:width] if name else " " * width)
    return line


def _settings(made: Sequence[Row], base: Config) -> list[str]:
    """A line for each run that has settings of its own, folded where it is long."""
    shared, each = rows.own_settings(made, base)
    found = [("all runs", shared), *((row.name(), own) for row, own in zip(made, each))]
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
