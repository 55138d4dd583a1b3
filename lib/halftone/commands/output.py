"""Print what a sub-command shows, for a terminal or the next program of a pipe."""

from __future__ import annotations

from contextlib import suppress

from halftone import printable


def print_text(text: str) -> None:
    """Print `text` to stdout; a reader such as `head` may end before all of it is read."""
    with suppress(BrokenPipeError):
        printable.print_line(text)
