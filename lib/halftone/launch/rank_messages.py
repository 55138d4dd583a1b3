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
READY, STOPPED, WRONG_INPUT, FAILED, BROKEN = "ready", "stopped", "input", "run", "broken"


class Word(NamedTuple):
    kind: str
    text: str = ""
    trace: str = ""


def of_error(error: Exception) -> Word:
    """Why a rank ends: in our words, or for another exception (BROKEN) in its own."""
    if isinstance(error, StoppedError):
        return Word(STOPPED, str(error))
    if isinstance(error, InputError):
        return Word(WRONG_INPUT, str(error))
    if isinstance(error, RunError):
        return Word(FAILED, str(error))
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    return Word(BROKEN, text, "".join(traceback.format_exception(None, error, error.__traceback__)))


def say(word: Word) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    # In one piece, as other threads write to the same output.
    os.write(sys.stdout.fileno(), f"{_MARK}{json.dumps(word._asdict())}\n".encode())


def parse(line: str) -> tuple[str, Optional[Word]]:
    """Split a line of a rank's output into what is for people, and the word if there is one."""
    before, mark, after = line.partition(_MARK)
    if not mark:
        return line, None
    try:
        return before, Word(**json.loads(after))
    except (ValueError, TypeError):  # torn by another line
        return line, None
