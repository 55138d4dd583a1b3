"""A log record as text for people, and as a JSON object on one line for machines."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any, NamedTuple, Optional

from halftone import printable

# The attribute of a record with further fields of its JSON object, such as those of a progress.
FIELDS = "halftone_fields"


class LogContext(NamedTuple):
    """What all records of a process have in common."""

    job: str = ""  # preprocess, train, ...
    run: str = ""  # the config's name
    rank: Optional[int] = None


class TextFormatter(logging.Formatter):
    """The message alone for records of Halftone; level and library before those of others."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if not is_own_logger(record.name):
            text = f"{record.levelname.lower()}: {record.name.split('.')[0]}: {text}"
        trace = _format_trace(record)
        return printable.escape(f"{text}\n{trace}" if trace else text, kept="\n\t")


class JsonFormatter(logging.Formatter):
    """One line: an object with time, level, logger, job, run, rank, message and further fields."""

    def __init__(self, context: LogContext) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(getattr(record, FIELDS, {}))
        trace = _format_trace(record)
        if trace:
            fields["traceback"] = trace
        level, message = record.levelname.lower(), record.getMessage()
        return format_object(self._context, record.created, level, record.name, message, fields)


def format_object(
    context: LogContext,
    secs: float,
    level: str,
    logger: str,
    message: str,
    fields: Optional[dict[str, Any]] = None,
) -> str:
    """Return the JSON object of a message.

    Args:
        secs: when it was logged, in seconds since 1970.
        fields: further fields.
    """
    values: dict[str, Any] = {"time": format_time(secs), "level": level, "logger": logger}
    if context.job:
        values["job"] = context.job
    if context.run:
        values["run"] = context.run
    if context.rank is not None:
        values["rank"] = context.rank
    # As ASCII: names of files may hold halves of characters, which cannot be encoded.
    return json.dumps({**values, "message": message, **(fields or {})}, default=str)


def format_time(secs: float) -> str:
    """Return a time such as 2026-11-21T03:10:42.878Z."""
    time = datetime.fromtimestamp(secs, timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_own_logger(name: str) -> bool:
    """Return whether a logger is one of Halftone."""
    return name == "halftone" or name.startswith("halftone.")


def _format_trace(record: logging.LogRecord) -> str:
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    return record.exc_text or ""
