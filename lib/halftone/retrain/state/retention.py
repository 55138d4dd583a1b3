"""What of earlier nights may go: pure, by count and age."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple


class DatedArtifact(NamedTuple):
    """A night's model and scores, or a dataset."""

    name: str
    timestamp: datetime


def list_removable(
    artifacts: Sequence[DatedArtifact],
    count: int,
    days: float,
    needed_names: Collection[str],
    now: datetime,
) -> list[str]:
    """Names of those that may go, the oldest first.

    Not those that are among the `count` newest, nor those that are younger, nor what is needed.
    """
    by_age = sorted(artifacts, key=lambda one: (one.timestamp, one.name))
    old = by_age[:-count] if count else by_age
    limit = now - timedelta(days=days)
    return [one.name for one in old if one.timestamp <= limit and one.name not in needed_names]
