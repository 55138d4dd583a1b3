"""What a rank says to who started it: lines of its output that begin with a mark."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import NamedTuple, Optional

from halftone.errors import InputError, RunError, StoppedError

_MARK = "\x1e"
# A word's kinds: it is ready to train; or why it ends.
READY, STOPPED, INPUT_ERROR, RUN_ERROR, UNEXPECTED_ERROR = (
    "ready",
    "stopped",
    "input",
    "run",
    "broken",
)


class RankStatus(NamedTuple):
    kind: str
    text: str = ""
    trace: str = ""


def status_from_error(error: Exception) -> RankStatus:
    """Why a rank ends: in our words, or for another exception (BROKEN) in its own."""
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
    sys.stdout.flush()
    sys.stderr.flush()
    # In one piece, as other threads write to the same output.
    os.write(sys.stdout.fileno(), f"{_MARK}{json.dumps(status._asdict())}\n".encode())


def parse_line(line: str) -> tuple[str, Optional[RankStatus]]:
    """Split a line of a rank's output into what is for people, and the word if there is one."""
    before, mark, after = line.partition(_MARK)
    if not mark:
        return line, None
    try:
        return before, RankStatus(**json.loads(after))
    except (ValueError, TypeError):  # torn by another line
        return line, None
