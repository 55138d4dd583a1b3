"""What the ends of all ranks mean: which rank was the cause, and what to tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from halftone.errors import InputError, RunError, StoppedError
from halftone.launch.rank_messages import BROKEN, FAILED, STOPPED, WRONG_INPUT, Word

# An exception that names one of these is about the other ranks, more often than not.
_OF_OTHERS = ("horovod", "gloo")


class LostRankError(RunError):
    """A rank was lost on the way, and none said why: a new attempt may well succeed."""

    def __init__(self, rank: int, text: str) -> None:
        super().__init__(text)
        self.rank = rank


class End(NamedTuple):
    """How a rank ended."""

    rank: int
    how: str  # see Rank.how_ended
    at_secs: float  # by this machine's clock
    was_killed: bool = False  # by us
    word: Optional[Word] = None  # its last


def of(ends: Sequence[End]) -> Optional[Exception]:
    """The error that the ranks' ends amount to; None where all ended well."""
    for end in ends:  # rank 0 first
        if end.word is not None and end.word.kind == STOPPED:
            return StoppedError(end.word.text)
    by_time = sorted(ends, key=lambda end: end.at_secs)
    for end in by_time:
        if end.word is not None and end.word.kind in (WRONG_INPUT, FAILED):
            kind = InputError if end.word.kind == WRONG_INPUT else RunError
            return kind(f"rank {end.rank}: {end.word.text}")
    failed = [end for end in by_time if end.how]
    return _lost(min(failed, key=_blame)) if failed else None


def _blame(end: End) -> int:
    """Who is more likely to be the cause has a lower number; among equals it is the first."""
    if end.word is not None and end.word.kind == BROKEN:
        text = end.word.text.lower()
        return 2 if any(name in text for name in _OF_OTHERS) else 0
    return 1 if end.was_killed else 0


def _lost(end: End) -> LostRankError:
    if end.word is not None and end.word.kind == BROKEN:
        return LostRankError(end.rank, f"rank {end.rank}: {end.word.text}")
    how = "did not answer any more" if end.was_killed else end.how
    return LostRankError(end.rank, f"rank {end.rank} {how}")
