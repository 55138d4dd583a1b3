"""What the benchmarks found, as a table in Markdown and as JSON with every single run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple, Optional

import page
from measure import Run


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
    record = {
        "notes": table.notes,
        "skipped": dict(table.skipped),
        "summary": [line._asdict() for line in lines],
        "runs": [{**entry._asdict(), "run": entry.run._asdict()} for entry in table.runs],
    }
    page.publish(
        name, table.title, [_rates(lines, table.baseline)], _remarks(table), record, versions
    )


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


def _rates(lines: list[Line], baseline: str) -> str:
    limit = next((line.rate for line in lines if line.name == baseline), None)
    head = ["", "images", "images/s", "min..max", "seconds", f"of {baseline}"]
    head += ["python MiB", "JVM MiB", "runs"]
    return page.table(head, [_cells(line, limit) for line in lines])


def _cells(line: Line, limit: Optional[float]) -> list[str]:
    return [
        line.name,
        f"{line.count:,}",
        page.rate(line.rate),
        f"{page.rate(line.slowest)}..{page.rate(line.fastest)}",
        f"{line.secs:.1f}",
        f"{line.rate / limit:.2f}" if limit else "",
        f"{line.python_mib:,.0f}",
        f"{line.jvm_mib:,.0f}" if line.jvm_mib else "-",
        str(line.good),
    ]


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
