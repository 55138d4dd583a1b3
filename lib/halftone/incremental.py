"""What a run has to do, given what the dataset knows already: pure, from two listings.

An image is known by its key; it has changed when its size or its time of modification has. What is
known and has not changed is not read again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Listed(NamedTuple):
    """How a store lists a file, and by which a change is seen."""

    size_bytes: int
    modified: float  # seconds since 1970; 0 where the store does not say


class Known(NamedTuple):
    """What the dataset knows of an image."""

    listed: Listed
    status: str  # "row", "duplicate", or the reason for which it was rejected
    kept_key: str = ""  # of a duplicate: the row with the same bytes


ROW, DUPLICATE, CONFLICT = "row", "duplicate", "conflict"


class Delta(NamedTuple):
    """The keys that a run must look at; all other known ones stay what they are."""

    read: frozenset[str]  # new, changed, or to be tried again
    forget: frozenset[str]  # known ones whose old row, reject or duplicate goes
    gone: frozenset[str]  # known ones that are no longer listed, and stay all the same

    @property
    def is_empty(self) -> bool:
        return not self.read and not self.forget


def compare(
    listed: Mapping[str, Listed],
    known: Mapping[str, Known],
    *,
    retry_rejects: bool = False,
    prune: bool = False,
) -> Delta:
    """Say what a run has to do.

    Args:
        listed: what is in the folder of images now.
        retry_rejects: read the rejected ones again, and nothing that is new or changed.
        prune: forget what is no longer listed. Without it nothing that is known is lost.
    """
    rejected = {key for key, image in known.items() if image.status not in (ROW, DUPLICATE)}
    unlisted = {key for key in known if key not in listed}
    if retry_rejects:
        read = rejected - unlisted
        return Delta(frozenset(read), frozenset(read), frozenset(unlisted))
    changed = {key for key in known if key in listed and _differs(listed[key], known[key].listed)}
    forget = changed | (unlisted if prune else set())
    read = changed | {key for key in listed if key not in known}
    # An image was only a copy, or in conflict, because of others: it is judged anew with them.
    touched = _leaning_on(forget, known)
    if read or forget:
        touched |= {key for key in rejected - unlisted if known[key].status == CONFLICT}
    return Delta(
        frozenset(read | touched),
        frozenset(forget | touched),
        frozenset() if prune else frozenset(unlisted),
    )


def _differs(now: Listed, before: Listed) -> bool:
    # A listing that does not say how large a file is (a negative size) tells of no change.
    return now.size_bytes >= 0 and now != before


def _leaning_on(forgotten: Collection[str], known: Mapping[str, Known]) -> set[str]:
    """Duplicates of rows that are forgotten."""
    return {
        key
        for key, image in known.items()
        if image.status == DUPLICATE and image.kept_key in forgotten and key not in forgotten
    }
