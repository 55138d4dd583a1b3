"""What the benchmarks found, as a table in Markdown and as JSON with every single run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

import machine
from measure import Run

_FOLDER = Path(__file__).resolve().parent / "results"


class Entry(NamedTuple):
    """One run of one contestant."""

    name: str
    turn: int
    count: int
    run: Run
    error: Optional[str]  # why it does not count
    aside: str  # what of the images became no rows, by its own account


class Table(NamedTuple):
    title: str
    runs: list[Entry]
    baseline: str  # the contestant that ratios refer to
    legend: Mapping[str, str]
    skipped: Mapping[str, str]
    notes: list[str]


class Line(NamedTuple):
    """All runs of one contestant, in short."""

    name: str
    count: int
    good: int  # runs that count
    rate: float  # images/s, median of the good runs
    slowest: float
    fastest: float
    secs: float
    python_mib: float  # the largest of all runs
    jvm_mib: float


def one_line(entry: Entry) -> str:
    rate = entry.count / entry.run.secs
    said = f"DOES NOT COUNT: {entry.error}" if entry.error else f"{rate:,.1f} images/s"
    return f"round {entry.turn + 1}  {entry.name:<13} {entry.run.secs:8.2f} s  {said}"


def publish(table: Table, name: str, versions: Mapping[str, str]) -> None:
    """Print the table, and write it to results/<name>.md and .json."""
    lines = _lines(table)
    about = machine.about(versions)
    text = _markdown(table, lines, about)
    print(f"\n{text}")
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    record = {
        "title": table.title,
        "about": about,
        "notes": table.notes,
        "skipped": dict(table.skipped),
        "summary": [line._asdict() for line in lines],
        "runs": [{**entry._asdict(), "run": entry.run._asdict()} for entry in table.runs],
    }
    (_FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"written: benchmarks/results/{name}.md and .json")


def _lines(table: Table) -> list[Line]:
    """Sum up each contestant that has a run that counts, the fastest first."""
    lines = []
    for name in table.legend:
        good = [entry for entry in table.runs if entry.name == name and entry.error is None]
        if not good:
            continue
        rates = [entry.count / entry.run.secs for entry in good]
        lines.append(
            Line(
                name=name,
                count=good[0].count,
                good=len(good),
                rate=statistics.median(rates),
                slowest=min(rates),
                fastest=max(rates),
                secs=statistics.median(entry.run.secs for entry in good),
                python_mib=max(entry.run.python_peak_mib for entry in good),
                jvm_mib=max(entry.run.jvm_peak_mib for entry in good),
            )
        )
    return sorted(lines, key=lambda line: -line.rate)


def _markdown(table: Table, lines: list[Line], about: Mapping[str, Any]) -> str:
    limit = next((line.rate for line in lines if line.name == table.baseline), None)
    rows = [
        f"| | images | images/s | min..max | seconds | of {table.baseline} "
        "| python MiB | JVM MiB | runs |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for line in lines:
        rows.append(f"| {' | '.join(_cells(line, limit))} |")
    versions = ", ".join(f"{name} {value}" for name, value in about["versions"].items())
    return "\n".join(
        [
            f"# {table.title}",
            "",
            *rows,
            "",
            *(f"- {text}" for text in _remarks(table)),
            "",
            f"`{about['command']}`",
            "",
            f"{about['date']}, commit {about['commit']}, {about['cpus']} CPUs ({about['cpu']}), "
            f"{about['memory_gib']} GiB, load average over the last 15 minutes {about['load']}.",
            f"{versions}.",
            "",
        ]
    )


def _cells(line: Line, limit: Optional[float]) -> list[str]:
    return [
        line.name,
        f"{line.count:,}",
        _number(line.rate),
        f"{_number(line.slowest)}..{_number(line.fastest)}",
        f"{line.secs:.1f}",
        f"{line.rate / limit:.2f}" if limit else "",
        f"{line.python_mib:,.0f}",
        f"{line.jvm_mib:,.0f}" if line.jvm_mib else "-",
        str(line.good),
    ]


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _remarks(table: Table) -> list[str]:
    remarks = list(table.notes)
    remarks += [f"{name}: {what}." for name, what in table.legend.items()]
    counts = {entry.name: entry.count for entry in table.runs}
    most = max(counts.values())
    remarks += [
        f"{name} ran on {count:,} of the images; its rate counts its start as well."
        for name, count in counts.items()
        if count < most
    ]
    asides = {entry.name: entry.aside for entry in table.runs if entry.aside}
    remarks += [f"{name}: {aside} are among the images." for name, aside in asides.items()]
    remarks += [f"{name}: skipped, {why}." for name, why in table.skipped.items()]
    remarks += [
        f"{entry.name}, round {entry.turn + 1}: does not count: {entry.error}."
        for entry in table.runs
        if entry.error
    ]
    remarks.append(
        "Medians of the runs, whole processes from start to end; MiB: peak of the largest Python "
        "process and of the JVM, sampled 5 times a second, pages shared with others included."
    )
    return remarks
