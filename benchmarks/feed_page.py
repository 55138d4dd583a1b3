"""What feed.py found, as tables: medians of the passes, and of the ratios within each round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import page
from feeding import Taken


class Entry(NamedTuple):
    """One pass of one contestant that counts."""

    name: str
    turn: int
    taken: Taken

    @property
    def rate(self) -> float:
        return self.taken.rows / self.taken.secs


def rates(names: Sequence[str], entries: Sequence[Entry], baselines: Sequence[str]) -> str:
    """Samples a second, and their ratio to those of the baselines; the fastest first."""
    there = [name for name in baselines if any(entry.name == name for entry in entries)]
    head = ["", "samples/s", "min..max", *(f"of {name}" for name in there)]
    head += ["CPU µs each", "peak MiB", "passes"]
    rows = []
    for name in sorted(_measured(names, entries), key=lambda name: -_median_rate(name, entries)):
        own = [entry for entry in entries if entry.name == name]
        found = [entry.rate for entry in own]
        rows.append(
            [
                name,
                page.rate(statistics.median(found)),
                f"{page.rate(min(found))}..{page.rate(max(found))}",
                *(_ratio(name, baseline, entries, lambda entry: entry.rate) for baseline in there),
                f"{statistics.median(e.taken.cpu_secs / e.taken.rows * 1e6 for e in own):.2f}",
                f"{max(entry.taken.peak_mib for entry in own):,.0f}",
                str(len(own)),
            ]
        )
    return page.table(head, rows)


def epochs(names: Sequence[str], entries: Sequence[Entry], baseline: str) -> str:
    """Seconds an epoch, and their ratio to the baseline's."""
    rows = []
    for name in _measured(names, entries):
        own = [entry for entry in entries if entry.name == name]
        found = [entry.taken.secs for entry in own]
        rows.append(
            [
                name,
                f"{statistics.median(found):.2f}",
                f"{min(found):.2f}..{max(found):.2f}",
                _ratio(name, baseline, entries, lambda entry: entry.taken.secs),
                f"{statistics.median(entry.taken.cpu_secs for entry in own):.2f}",
                str(len(own)),
            ]
        )
    head = ["", "seconds", "min..max", f"of {baseline}", "CPU seconds", "passes"]
    return page.table(head, rows)


def _measured(names: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    return [name for name in names if any(entry.name == name for entry in entries)]


def _median_rate(name: str, entries: Sequence[Entry]) -> float:
    return statistics.median(entry.rate for entry in entries if entry.name == name)


def _ratio(
    name: str, baseline: str, entries: Sequence[Entry], value: Callable[[Entry], float]
) -> str:
    own, base = (
        {entry.turn: value(entry) for entry in entries if entry.name == each}
        for each in (name, baseline)
    )
    return page.ratio(own, base)
