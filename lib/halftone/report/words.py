"""Numbers and times as the page writes them; the filters of its templates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Optional

NOT_AVAILABLE = "n/a"  # where a number cannot be said


def count(number: int) -> str:
    return f"{number:,}"


def percent(share: float) -> str:
    """Write a share of 1 in percent; only what is all or nothing is shown as 100 or 0."""
    if 0 < share < 0.0001:
        return "<0.01%"
    if 0.9999 < share < 1:
        return ">99.99%"
    return f"{100 * share:.2f}%"


def ratio(value: Optional[float]) -> str:
    """As the jobs print it."""
    return NOT_AVAILABLE if value is None else f"{value:.4f}"


def signed_difference(value: Optional[float]) -> str:
    """A difference, with its sign unless it rounds to nothing."""
    if value is None or math.isnan(value):
        return NOT_AVAILABLE
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}") if round(value, 4) else "0.0000"


def utc_time(text: str) -> str:
    """An ISO 8601 time in UTC, for people; whatever else it is, as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return when.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


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
    """A path below the folder of images, where it is there."""
    start = folder.rstrip("/") + "/"
    return path[len(start) :] if path.startswith(start) else path


def sort_by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
