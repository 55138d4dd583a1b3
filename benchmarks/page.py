"""Pages of results in results/: Markdown, and JSON with every run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import machine

_FOLDER = Path(__file__).resolve().parent / "results"


def publish(
    name: str,
    title: str,
    tables: Sequence[str],
    remarks: Sequence[str],
    record: Mapping[str, Any],
    versions: Mapping[str, str],
) -> None:
    """Print the page, and write it to results/<name>.md and `record` to results/<name>.json."""
    context = machine.describe(versions)
    text = _markdown(title, tables, remarks, context)
    print(f"\n{text}")
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    content = json.dumps({"title": title, "about": context, **record}, indent=2)
    (_FOLDER / f"{name}.json").write_text(f"{content}\n", encoding="utf-8")
    print(f"written: benchmarks/results/{name}.md and .json")


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and whose other columns are numbers."""
    rule = "|---" + "|--:" * (len(head) - 1) + "|"
    return "\n".join([_row(head), rule, *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"


def format_rate(value: float) -> str:
    """Format a rate per second: one decimal below 100, else none."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def median_ratio(values: Mapping[int, float], baseline: Mapping[int, float]) -> str:
    """Return the median of the ratios within each round, formatted; "" if no round has both.

    A slowdown of a whole round, such as by other work on the machine, has little effect on it.

    Args:
        values: by round.
        baseline: by round.
    """
    ratios = [values[turn] / baseline[turn] for turn in values if turn in baseline]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _markdown(
    title: str, tables: Sequence[str], remarks: Sequence[str], context: Mapping[str, Any]
) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in context["versions"].items())
    parts = [f"# {title}"]
    parts += tables
    parts += [
        "\n".join(f"- {text}" for text in remarks),
        f"`{context['command']}`",
        f"{context['date']}, commit {context['commit']}, "
        f"{context['cpus']} CPUs ({context['cpu']}), "
        f"{context['memory_gib']} GiB, load average over the last 15 minutes {context['load']}.\n"
        f"{versions}.\n",
    ]
    return "\n\n".join(parts)
