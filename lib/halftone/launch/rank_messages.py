"""Messages from a rank to the driver: lines of the rank's output that hold a mark and JSON."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import NamedTuple, Optional

from halftone.errors import InputError, RunError, StoppedError

_MARK = "\x1e"
# Kinds of messages: the rank is ready to train, or the reason why it ends.
READY, STOPPED, INPUT_ERROR, RUN_ERROR, UNEXPECTED_ERROR = (
    "ready",
    "stopped",
    "input",
    "run",
    "broken",
)


class RankStatus(NamedTuple):
    """A message of a rank."""

    kind: str  # READY, STOPPED, ...
    text: str = ""  # for the user
    trace: str = ""  # the traceback of an unexpected error, for the log


def status_from_error(error: Exception) -> RankStatus:
    """Return the message for the error that ends a rank.

    An exception that is none of Halftone's gets the kind UNEXPECTED_ERROR and keeps its traceback.
    """
    if isinstance(error, StoppedError):
        return RankStatus(STOPPED, str(error))
    if isinstance(error, InputError):
        return RankStatus(INPUT_ERROR, str(error))
    if isinstance(error, RunError):
        return RankStatus(RUN_ERROR, str(error))
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    return RankStatus(
        UNEXPECTED_ERROR,
        text,
        "".join(traceback.format_exception(None, error, error.__traceback__)),
    )


def send(status: RankStatus) -> None:
    """Write the message to standard output."""
    sys.stdout.flush()
    sys.stderr.flush()
    # In a single write, because other threads write to the same output.
    os.write(sys.stdout.fileno(), f"{_MARK}{json.dumps(status._asdict())}\n".encode())


def parse_line(line: str) -> tuple[str, Optional[RankStatus]]:
    """Split a line of a rank's output into its text for the user and its message, if any."""
    text, mark, message = line.partition(_MARK)
    if not mark:
        return line, None
    try:
        return text, RankStatus(**json.loads(message))
    except (ValueError, TypeError):  # interleaved with another line
        return line, None
