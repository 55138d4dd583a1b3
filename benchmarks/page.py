"""A page of results: Markdown to read, and JSON with every single run, in results/."""

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
    """Print the page, and write it to results/<name>.md; `record` goes to results/<name>.json."""
    about = machine.about(versions)
    text = _markdown(title, tables, remarks, about)
    print(f"\n{text}")
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    whole = json.dumps({"title": title, "about": about, **record}, indent=2)
    (_FOLDER / f"{name}.json").write_text(f"{whole}\n", encoding="utf-8")
    print(f"written: benchmarks/results/{name}.md and .json")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table whose first column is text and whose others are numbers."""
    rule = "|---" + "|--:" * (len(head) - 1) + "|"
    return "\n".join([_row(head), rule, *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"


def rate(value: float) -> str:
    """Write so many a second: with a decimal only where that says something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def ratio(own: Mapping[int, float], base: Mapping[int, float]) -> str:
    """Compare values by round: the median of the ratios within one.

    What slows a whole round, such as another's work on the machine, so counts for little.
    """
    ratios = [own[turn] / base[turn] for turn in own if turn in base]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _markdown(
    title: str, tables: Sequence[str], remarks: Sequence[str], about: Mapping[str, Any]
) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in about["versions"].items())
    parts = [f"# {title}"]
    parts += tables
    parts += [
        "\n".join(f"- {text}" for text in remarks),
        f"`{about['command']}`",
        f"{about['date']}, commit {about['commit']}, {about['cpus']} CPUs ({about['cpu']}), "
        f"{about['memory_gib']} GiB, load average over the last 15 minutes {about['load']}.\n"
        f"{versions}.\n",
    ]
    return "\n\n".join(parts)
