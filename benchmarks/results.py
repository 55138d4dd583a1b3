"""Results of whole runs: a table in Markdown, and JSON with every run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import page
from measure import Run


class Entry(NamedTuple):
    """One run of one contestant."""

    name: str
    turn: int
    count: int
    run: Run
    error: Optional[str]  # why the run does not count
    non_rows: str  # images that became no row, according to the output


class Table(NamedTuple):
    title: str
    runs: list[Entry]
    baseline: str  # the contestant that ratios refer to
    legend: Mapping[str, str]
    skipped: Mapping[str, str]
    notes: list[str]


class Line(NamedTuple):
    """Summary of all runs of one contestant."""

    name: str
    count: int
    good: int  # number of valid runs
    rate: float  # images/s, median of the valid runs
    slowest: float
    fastest: float
    secs: float
    python_mib: float  # maximum of all runs
    jvm_mib: float


def format_run(entry: Entry) -> str:
    """Return one line for the terminal."""
    rate = entry.count / entry.run.secs
    result = f"DOES NOT COUNT: {entry.error}" if entry.error else f"{rate:,.1f} images/s"
    return f"round {entry.turn + 1}  {entry.name:<13} {entry.run.secs:8.2f} s  {result}"


def publish(table: Table, name: str, versions: Mapping[str, str]) -> None:
    """Print the table, and write it to results/<name>.md and .json."""
    lines = _summarise(table)
    record = {
        "notes": table.notes,
        "skipped": dict(table.skipped),
        "summary": [line._asdict() for line in lines],
        "runs": [_record(entry) for entry in table.runs],
    }
    page.publish(
        name, table.title, [_format_table(lines, table.baseline)], _remarks(table), record, versions
    )


def _record(entry: Entry) -> dict[str, Any]:
    """Return one run for the JSON file."""
    record = {**entry._asdict(), "run": entry.run._asdict()}
    record["aside"] = record.pop("non_rows")
    return record


def _summarise(table: Table) -> list[Line]:
    """Summarise each contestant that has a valid run, fastest first."""
    lines = []
    for name in table.legend:
        valid = [entry for entry in table.runs if entry.name == name and entry.error is None]
        if not valid:
            continue
        rates = [entry.count / entry.run.secs for entry in valid]
        lines.append(
            Line(
                name=name,
                count=valid[0].count,
                good=len(valid),
                rate=statistics.median(rates),
                slowest=min(rates),
                fastest=max(rates),
                secs=statistics.median(entry.run.secs for entry in valid),
                python_mib=max(entry.run.python_peak_mib for entry in valid),
                jvm_mib=max(entry.run.jvm_peak_mib for entry in valid),
            )
        )
    return sorted(lines, key=lambda line: -line.rate)


def _format_table(lines: list[Line], baseline: str) -> str:
    baseline_rate = next((line.rate for line in lines if line.name == baseline), None)
    head = ["", "images", "images/s", "min..max", "seconds", f"of {baseline}"]
    head += ["python MiB", "JVM MiB", "runs"]
    return page.format_table(head, [_format_cells(line, baseline_rate) for line in lines])


def _format_cells(line: Line, baseline_rate: Optional[float]) -> list[str]:
    return [
        line.name,
        f"{line.count:,}",
        page.format_rate(line.rate),
        f"{page.format_rate(line.slowest)}..{page.format_rate(line.fastest)}",
        f"{line.secs:.1f}",
        f"{line.rate / baseline_rate:.2f}" if baseline_rate else "",
        f"{line.python_mib:,.0f}",
        f"{line.jvm_mib:,.0f}" if line.jvm_mib else "-",
        str(line.good),
    ]


def _remarks(table: Table) -> list[str]:
    remarks = list(table.notes)
    remarks += [f"{name}: {description}." for name, description in table.legend.items()]
    counts = {entry.name: entry.count for entry in table.runs}
    largest = max(counts.values())
    remarks += [
        f"{name} ran on {count:,} of the images; its rate includes its start."
        for name, count in counts.items()
        if count < largest
    ]
    non_rows = {entry.name: entry.non_rows for entry in table.runs if entry.non_rows}
    remarks += [f"{name}: the images include {text}." for name, text in non_rows.items()]
    remarks += [f"{name}: skipped, {reason}." for name, reason in table.skipped.items()]
    remarks += [
        f"{entry.name}, round {entry.turn + 1}: does not count: {entry.error}."
        for entry in table.runs
        if entry.error
    ]
    remarks.append(
        "Medians of the runs, whole processes from start to end; MiB: peak of the largest Python "
        "process and of the JVM, sampled 5 times a second, shared pages included."
    )
    return remarks
