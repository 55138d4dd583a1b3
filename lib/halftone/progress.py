"""Progress: units done, in total and per second, and the time left.

On a terminal a stage has one line, which is overwritten. Elsewhere progress is logged from time to
time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable

from halftone import logs, measures
from halftone.logs.formats import FIELDS

_REFRESH_SECS = 0.5
_LOG_EVERY_SECS = 30.0  # a log keeps every line, so write fewer
_logger = logging.getLogger(__name__)


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


def log_notes(notes: Iterable[str]) -> None:
    """Log what the user should know before the work begins, a line each."""
    for note in notes:
        _logger.info("note: %s", note)


@contextmanager
def report_progress(
    count_done: Callable[[], int], label: str, total: int, unit: str
) -> Iterator[None]:
    """Show the progress of the body.

    Args:
        count_done: returns the units done so far; called regularly, from another thread.
        total: units of the whole body.
    """
    finished = threading.Event()
    start_time = time.monotonic()
    display = _ProgressDisplay()

    def show(num_done: int, is_last: bool = False) -> None:
        secs = time.monotonic() - start_time
        fields = {"stage": label, "done": num_done, "total": total, "unit": unit, "secs": secs}
        text = format_progress(label, num_done, total, unit, secs)
        if is_last:
            display.end(f"{text}, {format_duration(secs)}", fields)
        else:
            display.show(text, fields)

    def report() -> None:
        while not finished.wait(_REFRESH_SECS):
            if display.is_due():
                show(count_done())

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        with measures.updating(lambda: _measure(label, count_done(), unit)):
            yield
    finally:
        finished.set()
        reporter.join()
        display.clear()
    _measure(label, total, unit)
    show(total, is_last=True)


def _measure(stage: str, num_done: int, unit: str) -> None:
    """Count the images of a stage, for monitoring."""
    if unit == "images":
        measures.set_value(measures.IMAGES_READ, num_done, stage)


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
            values = get_values()
            metrics = "".join(f", {name} {value:.4f}" for name, value in values.items())
            secs_left = (self._num_steps - self._num_done) * secs / num_timed
            self._display.show(
                f"{self._label}: step {self._num_done} of {self._num_steps}{metrics}, "
                f"{num_timed * self._rows_per_step / secs:,.0f} images/s, "
                f"{format_duration(secs_left)} left",
                {
                    "stage": self._label,
                    "done": self._num_done,
                    "total": self._num_steps,
                    "unit": "steps",
                    "secs": secs,
                    **values,
                },
            )


class _ProgressDisplay:
    """A line on a terminal, overwritten in place; elsewhere a log record from time to time."""

    def __init__(self) -> None:
        self._is_in_place = logs.is_shown_in_place()
        self._every_secs = _REFRESH_SECS if self._is_in_place else _LOG_EVERY_SECS
        self._last_shown = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._last_shown >= self._every_secs

    def show(self, text: str, fields: dict[str, Any]) -> None:
        self._last_shown = time.monotonic()
        if self._is_in_place:
            logs.show_in_place(text)
        else:
            self.end(text, fields)

    def end(self, text: str, fields: dict[str, Any]) -> None:
        """Log a line that stays."""
        fields["secs"] = round(fields["secs"], 3)
        _logger.info("%s", text, extra={FIELDS: {"progress": fields}})

    def clear(self) -> None:
        logs.clear_in_place()
