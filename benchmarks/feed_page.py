"""Tables of the results of feed.py: medians of passes, and of the ratios within each round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import page
from feeding import PassCost


class Entry(NamedTuple):
    """One valid pass of one contestant."""

    name: str
    turn: int
    cost: PassCost

    @property
    def rate(self) -> float:
        return self.cost.rows / self.cost.secs


def format_rates(names: Sequence[str], entries: Sequence[Entry], baselines: Sequence[str]) -> str:
    """Return a table of samples/s and their ratios to those of the baselines, fastest first."""
    shown_baselines = [name for name in baselines if any(entry.name == name for entry in entries)]
    head = ["", "samples/s", "min..max", *(f"of {name}" for name in shown_baselines)]
    head += ["CPU µs each", "peak MiB", "passes"]
    rows = []
    for name in sorted(_measured(names, entries), key=lambda name: -_median_rate(name, entries)):
        passes = [entry for entry in entries if entry.name == name]
        rates = [entry.rate for entry in passes]
        rows.append(
            [
                name,
                page.format_rate(statistics.median(rates)),
                f"{page.format_rate(min(rates))}..{page.format_rate(max(rates))}",
                *(
                    _ratio(name, baseline, entries, lambda entry: entry.rate)
                    for baseline in shown_baselines
                ),
                f"{statistics.median(e.cost.cpu_secs / e.cost.rows * 1e6 for e in passes):.2f}",
                f"{max(entry.cost.peak_mib for entry in passes):,.0f}",
                str(len(passes)),
            ]
        )
    return page.format_table(head, rows)


def format_epochs(names: Sequence[str], entries: Sequence[Entry], baseline: str) -> str:
    """Return a table of seconds per epoch and their ratio to the baseline's."""
    rows = []
    for name in _measured(names, entries):
        passes = [entry for entry in entries if entry.name == name]
        secs = [entry.cost.secs for entry in passes]
        rows.append(
            [
                name,
                f"{statistics.median(secs):.2f}",
                f"{min(secs):.2f}..{max(secs):.2f}",
                _ratio(name, baseline, entries, lambda entry: entry.cost.secs),
                f"{statistics.median(entry.cost.cpu_secs for entry in passes):.2f}",
                str(len(passes)),
            ]
        )
    head = ["", "seconds", "min..max", f"of {baseline}", "CPU seconds", "passes"]
    return page.format_table(head, rows)


def _measured(names: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    return [name for name in names if any(entry.name == name for entry in entries)]


def _median_rate(name: str, entries: Sequence[Entry]) -> float:
    return statistics.median(entry.rate for entry in entries if entry.name == name)


def _ratio(
    name: str, baseline: str, entries: Sequence[Entry], value: Callable[[Entry], float]
) -> str:
    values, baseline_values = (
        {entry.turn: value(entry) for entry in entries if entry.name == contestant}
        for contestant in (name, baseline)
    )
    return page.median_ratio(values, baseline_values)
