"""How far a long piece of work is: one line that says done, of all, per second and time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Callable

_EVERY_SECS = 0.5
# Where lines pile up in a log, one a while is enough.
_LOG_EVERY_SECS = 10.0


def line(what: str, done: int, total: int, unit: str, elapsed_secs: float) -> str:
    """Say how far it is, such as `decode: 1,200 of 4,800 images, 300/s, 0:12 left`."""
    per_sec = done / elapsed_secs if elapsed_secs > 0 else 0.0
    left = f", {clock((total - done) / per_sec)} left" if per_sec and done < total else ""
    return f"{what}: {done:,} of {total:,} {unit}, {per_sec:,.0f}/s{left}"


def clock(secs: float) -> str:
    """Write a duration as m:ss or h:mm:ss."""
    minutes, seconds = divmod(int(secs + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


@contextmanager
def reporting(done: Callable[[], int], what: str, total: int, unit: str) -> Iterator[None]:
    """Print the progress of the body to stderr; `done` is asked now and then, from a thread."""
    ended = threading.Event()
    started = time.monotonic()
    display = _Display()

    def report() -> None:
        while not ended.wait(_EVERY_SECS):
            if display.is_due():
                display.show(line(what, done(), total, unit, time.monotonic() - started))

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()
        display.clear()
    secs = time.monotonic() - started
    print(f"{line(what, total, total, unit, secs)}, {clock(secs)}", file=sys.stderr, flush=True)


class Steps:
    """The progress of a loop that calls `one` after each of its steps."""

    def __init__(
        self, what: str, steps: int, step_rows: int, is_shown: bool, done: int = 0
    ) -> None:
        self._what, self._steps, self._step_rows = what, steps, step_rows
        self._before, self._done = done, done
        self._started = time.monotonic()
        self._display = _Display() if is_shown else None

    def one(self, values: Callable[[], Mapping[str, float]] = dict) -> None:
        """Count a step; `values` is asked for what else there is to say, where it is said."""
        self._done += 1
        if self._display is None:
            return
        if self._done == self._steps:
            self._display.clear()
        elif self._display.is_due():
            secs, done = time.monotonic() - self._started, self._done - self._before
            said = "".join(f", {name} {value:.4f}" for name, value in values().items())
            self._display.show(
                f"{self._what}: step {self._done} of {self._steps}{said}, "
                f"{done * self._step_rows / secs:,.0f} images/s, "
                f"{clock((self._steps - self._done) * secs / done)} left"
            )


class _Display:
    """A line on stderr: written over itself on a terminal, now and then a new one in a log."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._every_secs = _EVERY_SECS if self._is_terminal else _LOG_EVERY_SECS
        self._shown = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._shown >= self._every_secs

    def show(self, text: str) -> None:
        self._shown = time.monotonic()
        framed = f"\r\033[K{text}" if self._is_terminal else f"{text}\n"
        print(framed, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
