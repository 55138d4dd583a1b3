"""What the ends of all ranks mean: which rank was the cause, and what to tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from halftone.errors import InputError, RunError, StoppedError
from halftone.launch.rank_messages import (
    INPUT_ERROR,
    RUN_ERROR,
    STOPPED,
    UNEXPECTED_ERROR,
    RankStatus,
)

# An exception that names one of these is about the other ranks, more often than not.
_COLLECTIVE_LIBRARIES = ("horovod", "gloo")


class LostRankError(RunError):
    """A rank was lost on the way, and none said why: a new attempt may well succeed."""

    def __init__(self, rank: int, message: str) -> None:
        super().__init__(message)
        self.rank = rank


class RankExit(NamedTuple):
    """How a rank ended."""

    rank: int
    failure: str  # see Rank.how_ended
    timestamp_secs: float  # by this machine's clock
    was_killed: bool = False  # by us
    last_status: Optional[RankStatus] = None  # its last


def find_root_cause(exits: Sequence[RankExit]) -> Optional[Exception]:
    """The error that the ranks' ends amount to; None where all ended well."""
    for end in exits:  # rank 0 first
        if end.last_status is not None and end.last_status.kind == STOPPED:
            return StoppedError(end.last_status.text)
    by_time = sorted(exits, key=lambda end: end.timestamp_secs)
    for end in by_time:
        if end.last_status is not None and end.last_status.kind in (INPUT_ERROR, RUN_ERROR):
            kind = InputError if end.last_status.kind == INPUT_ERROR else RunError
            return kind(f"rank {end.rank}: {end.last_status.text}")
    failed = [end for end in by_time if end.failure]
    return _lost_rank_error(min(failed, key=_root_cause_order)) if failed else None


def _root_cause_order(rank_exit: RankExit) -> int:
    """Who is more likely to be the cause has a lower number; among equals it is the first."""
    if rank_exit.last_status is not None and rank_exit.last_status.kind == UNEXPECTED_ERROR:
        text = rank_exit.last_status.text.lower()
        return 2 if any(name in text for name in _COLLECTIVE_LIBRARIES) else 0
    return 1 if rank_exit.was_killed else 0


def _lost_rank_error(rank_exit: RankExit) -> LostRankError:
    if rank_exit.last_status is not None and rank_exit.last_status.kind == UNEXPECTED_ERROR:
        return LostRankError(rank_exit.rank, f"rank {rank_exit.rank}: {rank_exit.last_status.text}")
    how = "did not answer any more" if rank_exit.was_killed else rank_exit.failure
    return LostRankError(rank_exit.rank, f"rank {rank_exit.rank} {how}")
