"""Progress lines on stderr: units done, in total and per second, and the time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Callable

from halftone import printable

_REFRESH_SECS = 0.5
_LOG_EVERY_SECS = 10.0  # a log keeps every line, so write fewer


def format_progress(label: str, num_done: int, total: int, unit: str, elapsed_secs: float) -> str:
    """Format progress, such as `decode: 1,200 of 4,800 images, 300/s, 0:12 left`."""
    per_sec = num_done / elapsed_secs if elapsed_secs > 0 else 0.0
    time_left = ""
    if per_sec and num_done < total:
        time_left = f", {format_duration((total - num_done) / per_sec)} left"
    return f"{label}: {num_done:,} of {total:,} {unit}, {per_sec:,.0f}/s{time_left}"


def format_duration(secs: float) -> str:
    """Format a duration as m:ss or h:mm:ss."""
    minutes, seconds = divmod(int(secs + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def print_notes(notes: Iterable[str]) -> None:
    """Print what the user should know before the work begins, a line each."""
    for note in notes:
        printable.print_line(f"note: {note}")


@contextmanager
def report_progress(
    count_done: Callable[[], int], label: str, total: int, unit: str
) -> Iterator[None]:
    """Print the progress of the body to stderr.

    Args:
        count_done: returns the units done so far; called regularly, from another thread.
        total: units of the whole body.
    """
    finished = threading.Event()
    start_time = time.monotonic()
    display = _ProgressDisplay()

    def report() -> None:
        while not finished.wait(_REFRESH_SECS):
            if display.is_due():
                secs = time.monotonic() - start_time
                display.show(format_progress(label, count_done(), total, unit, secs))

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        finished.set()
        reporter.join()
        display.clear()
    secs = time.monotonic() - start_time
    print(
        f"{format_progress(label, total, total, unit, secs)}, {format_duration(secs)}",
        file=sys.stderr,
        flush=True,
    )


class StepProgress:
    """The progress of a loop that calls `advance` after each of its steps."""

    def __init__(
        self, label: str, num_steps: int, rows_per_step: int, is_shown: bool, num_done: int = 0
    ) -> None:
        self._label, self._num_steps, self._rows_per_step = label, num_steps, rows_per_step
        self._num_done_before, self._num_done = num_done, num_done
        self._start_time = time.monotonic()
        self._display = _ProgressDisplay() if is_shown else None

    def advance(self, get_values: Callable[[], Mapping[str, float]] = dict) -> None:
        """Count a step.

        Args:
            get_values: returns metrics to print; called only if a line is due.
        """
        self._num_done += 1
        if self._display is None:
            return
        if self._num_done == self._num_steps:
            self._display.clear()
        elif self._display.is_due():
            secs = time.monotonic() - self._start_time
            num_timed = self._num_done - self._num_done_before
            metrics = "".join(f", {name} {value:.4f}" for name, value in get_values().items())
            secs_left = (self._num_steps - self._num_done) * secs / num_timed
            self._display.show(
                f"{self._label}: step {self._num_done} of {self._num_steps}{metrics}, "
                f"{num_timed * self._rows_per_step / secs:,.0f} images/s, "
                f"{format_duration(secs_left)} left"
            )


class _ProgressDisplay:
    """A line on stderr: overwritten in place on a terminal, appended every few seconds to a log."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._every_secs = _REFRESH_SECS if self._is_terminal else _LOG_EVERY_SECS
        self._last_shown = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._last_shown >= self._every_secs

    def show(self, text: str) -> None:
        self._last_shown = time.monotonic()
        line = f"\r\033[K{text}" if self._is_terminal else f"{text}\n"
        print(line, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
