"""Choose by count and age what to remove. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple


class DatedArtifact(NamedTuple):
    """The model and scores of a run, or a snapshot of the dataset."""

    name: str
    timestamp: datetime


def list_removable(
    artifacts: Sequence[DatedArtifact],
    count: int,
    days: float,
    needed_names: Collection[str],
    now: datetime,
) -> list[str]:
    """Return the names of artifacts that may be removed, the oldest first.

    Args:
        artifacts: all artifacts, in any order.
        count: the newest ones that stay.
        days: younger ones stay.
        needed_names: these stay in any case.
        now: the current time.
    """
    by_age = sorted(artifacts, key=lambda artifact: (artifact.timestamp, artifact.name))
    old = by_age[:-count] if count else by_age
    limit = now - timedelta(days=days)
    return [
        artifact.name
        for artifact in old
        if artifact.timestamp <= limit and artifact.name not in needed_names
    ]
