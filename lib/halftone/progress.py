"""How far a long piece of work is: one line that says done, of all, per second and time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Callable

_REFRESH_SECS = 0.5
# Where lines pile up in a log, one a while is enough.
_LOG_EVERY_SECS = 10.0


def format_progress(label: str, num_done: int, total: int, unit: str, elapsed_secs: float) -> str:
    """Say how far it is, such as `decode: 1,200 of 4,800 images, 300/s, 0:12 left`."""
    per_sec = num_done / elapsed_secs if elapsed_secs > 0 else 0.0
    left = (
        f", {format_duration((total - num_done) / per_sec)} left"
        if per_sec and num_done < total
        else ""
    )
    return f"{label}: {num_done:,} of {total:,} {unit}, {per_sec:,.0f}/s{left}"


def format_duration(secs: float) -> str:
    """Write a duration as m:ss or h:mm:ss."""
    minutes, seconds = divmod(int(secs + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


@contextmanager
def report_progress(
    count_done: Callable[[], int], label: str, total: int, unit: str
) -> Iterator[None]:
    """Print the progress of the body to stderr; `done` is asked now and then, from a thread."""
    ended = threading.Event()
    started = time.monotonic()
    display = _ProgressDisplay()

    def report() -> None:
        while not ended.wait(_REFRESH_SECS):
            if display.is_due():
                display.show(
                    format_progress(label, count_done(), total, unit, time.monotonic() - started)
                )

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()
        display.clear()
    secs = time.monotonic() - started
    print(
        f"{format_progress(label, total, total, unit, secs)}, {format_duration(secs)}",
        file=sys.stderr,
        flush=True,
    )


class StepProgress:
    """The progress of a loop that calls `one` after each of its steps."""

    def __init__(
        self, label: str, num_steps: int, rows_per_step: int, is_shown: bool, num_done: int = 0
    ) -> None:
        self._label, self._num_steps, self._rows_per_step = label, num_steps, rows_per_step
        self._num_done_before, self._num_done = num_done, num_done
        self._start_time = time.monotonic()
        self._display = _ProgressDisplay() if is_shown else None

    def advance(self, get_values: Callable[[], Mapping[str, float]] = dict) -> None:
        """Count a step; `values` is asked for what else there is to say, where it is said."""
        self._num_done += 1
        if self._display is None:
            return
        if self._num_done == self._num_steps:
            self._display.clear()
        elif self._display.is_due():
            secs, done = time.monotonic() - self._start_time, self._num_done - self._num_done_before
            said = "".join(f", {name} {value:.4f}" for name, value in get_values().items())
            self._display.show(
                f"{self._label}: step {self._num_done} of {self._num_steps}{said}, "
                f"{done * self._rows_per_step / secs:,.0f} images/s, "
                f"{format_duration((self._num_steps - self._num_done) * secs / done)} left"
            )


class _ProgressDisplay:
    """A line on stderr: written over itself on a terminal, now and then a new one in a log."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._every_secs = _REFRESH_SECS if self._is_terminal else _LOG_EVERY_SECS
        self._last_shown = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._last_shown >= self._every_secs

    def show(self, text: str) -> None:
        self._last_shown = time.monotonic()
        framed = f"\r\033[K{text}" if self._is_terminal else f"{text}\n"
        print(framed, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
