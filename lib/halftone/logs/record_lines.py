"""Records of other processes, as lines of JSON."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Optional

from halftone.logs.formats import is_own_logger

_KNOWN_FIELDS = ("time", "level", "logger", "job", "run", "rank", "message")


class LoggedRecord(NamedTuple):
    """A record of another process."""

    level: str
    logger: str
    message: str
    time: str
    fields: dict[str, Any]  # further ones

    @property
    def text(self) -> str:
        """The message as text; that of a library with its level and name."""
        trace = self.fields.get("traceback")
        text = f"{self.message}\n{trace}" if trace else self.message
        if is_own_logger(self.logger):
            return text
        return f"{self.level}: {self.logger.split('.')[0]}: {text}"


def parse_record_line(line: str) -> Optional[LoggedRecord]:
    """Return the record of a line that JsonFormatter wrote; None for another line."""
    if not line.startswith('{"time": '):
        return None
    try:
        values = json.loads(line)
        return LoggedRecord(
            values["level"],
            values["logger"],
            values["message"],
            values["time"],
            {key: value for key, value in values.items() if key not in _KNOWN_FIELDS},
        )
    except (ValueError, KeyError, TypeError):  # interleaved with another line
        return None
