"""The lines in the log of a rank.

A rank writes the records of its loggers as JSON, and raw lines of libraries, to one pipe. The
driver reads it, and writes all of it to the log of the rank, with time and rank in each line.
"""

from __future__ import annotations

import time
from typing import Optional

from halftone.logs import set_up
from halftone.logs.formats import format_object, format_time
from halftone.logs.record_lines import LoggedRecord

_OUTPUT = "output"  # the logger of what a rank prints


def format_attempt(rank: int, attempt: int, location: str) -> str:
    """Return the first line of an attempt in the log of a rank.

    Args:
        attempt: its number, from 1.
        location: where the rank runs.
    """
    now = time.time()
    if set_up.is_json():
        message = f"attempt {attempt}, {location}"
        return f"{format_object(set_up.rank_context(rank), now, 'info', _OUTPUT, message)}\n"
    return f"=== attempt {attempt}, rank {rank}, {format_time(now)}, {location} ===\n"


def format_lines(rank: int, text: str, record: Optional[LoggedRecord]) -> str:
    """Return what a rank has written as lines for its log, each with time and rank.

    Args:
        text: a line, or several; empty for none.
        record: what the rank logged, if the text is a record.
    """
    now = time.time()
    if set_up.is_json():
        if record is not None:
            return f"{text.rstrip()}\n"
        message = text.rstrip()
        context = set_up.rank_context(rank)
        return f"{format_object(context, now, 'info', _OUTPUT, message)}\n" if message else ""
    stamp = record.time if record else format_time(now)
    lines = (record.text if record else text).splitlines()
    return "".join(f"{stamp} rank {rank}: {line}\n" for line in lines if line.strip())
