"""The handler that writes to stderr. There is one, so that it knows of a line of progress.

A terminal shows progress in place: one line, which is overwritten, and cleared before a record.
"""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import suppress
from typing import Optional, TextIO

from halftone import printable
from halftone.logs.formats import TextFormatter

_CLEAR_LINE = "\r\033[K"


class StderrHandler(logging.Handler):
    """Writes records to stderr as it is at that moment: notebooks and tests redirect it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())
        # Where stderr is a pipe that wraps lines in JSON, the file behind it.
        self.stream: Optional[TextIO] = None
        self.is_text = True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # arguments of another library that do not fit its message
            text = str(record.msg)
        self._write((_CLEAR_LINE if self.is_on_terminal() else "") + f"{text}\n")

    def is_on_terminal(self) -> bool:
        """Return whether people see what is written as it is written."""
        with suppress(AttributeError, ValueError):  # stderr is closed
            return self.is_text and sys.stderr.isatty()
        return False

    def show_in_place(self, text: str) -> None:
        # A line that the terminal would wrap could not be overwritten.
        columns = shutil.get_terminal_size().columns
        text = printable.escape_line(text)
        self._write(f"{_CLEAR_LINE}{text if len(text) < columns else f'{text[: columns - 2]}…'}")

    def clear_in_place(self) -> None:
        self._write(_CLEAR_LINE)

    def _write(self, text: str) -> None:
        stream = self.stream or sys.stderr
        self.acquire()
        try:
            stream.write(text)
            stream.flush()
        except UnicodeEncodeError:  # a terminal without UTF-8
            stream.write(text.encode("ascii", "backslashreplace").decode())
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or its reader has ended: no reason to fail a job
        finally:
            self.release()


HANDLER = StderrHandler()


def is_shown_in_place() -> bool:
    """Return whether progress is shown as a line that is overwritten, and not as records."""
    return HANDLER.is_on_terminal()


def show_in_place(text: str) -> None:
    """Show a line of progress in place of the last one. For terminals only."""
    if logging.getLogger("halftone").isEnabledFor(logging.INFO):
        HANDLER.show_in_place(text)


def clear_in_place() -> None:
    """Remove the line of progress, if this is a terminal."""
    if HANDLER.is_on_terminal():
        HANDLER.clear_in_place()
