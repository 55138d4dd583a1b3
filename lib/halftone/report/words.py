"""Formats of numbers and times; also the filters of the templates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Optional

NOT_AVAILABLE = "n/a"  # for a missing number


def count(number: int) -> str:
    return f"{number:,}"


def percent(share: float) -> str:
    """Format a share of 1 in percent; only exactly 1 and 0 are shown as 100% and 0%."""
    if 0 < share < 0.0001:
        return "<0.01%"
    if 0.9999 < share < 1:
        return ">99.99%"
    return f"{100 * share:.2f}%"


def ratio(value: Optional[float]) -> str:
    """Format with four decimal places, as the jobs print it."""
    return NOT_AVAILABLE if value is None else f"{value:.4f}"


def signed_difference(value: Optional[float]) -> str:
    """Format a difference with its sign, unless it rounds to 0."""
    if value is None or math.isnan(value):
        return NOT_AVAILABLE
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}") if round(value, 4) else "0.0000"


def utc_time(text: str) -> str:
    """Format an ISO 8601 time in UTC; other texts are returned as they are."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def duration(secs: float) -> str:
    if secs < 60:
        return f"{secs:.1f} s"
    minutes, seconds = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB"


def image_count(number: int) -> str:
    return f"{number:,} image{'' if number == 1 else 's'}"


def relative_path(path: str, folder: str) -> str:
    """Return the path below `folder`, or the whole path if it is elsewhere."""
    return path.removeprefix(folder.rstrip("/") + "/")


def sort_by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
