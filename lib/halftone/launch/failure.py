"""Find the root cause of a failed attempt from how its ranks ended."""

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

# An exception that names one of these usually follows from the loss of another rank.
_COLLECTIVE_LIBRARIES = ("horovod", "gloo")


class LostRankError(RunError):
    """A rank was killed, crashed or hung, or raised an unexpected exception: worth a restart."""

    def __init__(self, rank: int, message: str, is_exception: bool = False) -> None:
        super().__init__(message)
        self.rank, self.is_exception = rank, is_exception


class RankExit(NamedTuple):
    """How a rank ended."""

    rank: int
    failure: str  # see supervisor.Rank.describe_exit; empty for a clean exit
    timestamp_secs: float  # by this machine's monotonic clock
    was_killed: bool = False  # by the supervisor
    last_status: Optional[RankStatus] = None  # the last message of the rank


def find_root_cause(exits: Sequence[RankExit]) -> Optional[Exception]:
    """Return the error that the exits amount to, or None if all ranks succeeded.

    Args:
        exits: of all ranks, rank 0 first.
    """
    for rank_exit in exits:
        if rank_exit.last_status is not None and rank_exit.last_status.kind == STOPPED:
            return StoppedError(rank_exit.last_status.text)
    by_time = sorted(exits, key=lambda rank_exit: rank_exit.timestamp_secs)
    for rank_exit in by_time:
        status = rank_exit.last_status
        if status is not None and status.kind in (INPUT_ERROR, RUN_ERROR):
            error_type = InputError if status.kind == INPUT_ERROR else RunError
            return error_type(f"rank {rank_exit.rank}: {status.text}")
    failed = [rank_exit for rank_exit in by_time if rank_exit.failure]
    return _lost_rank_error(min(failed, key=_root_cause_order)) if failed else None


def _root_cause_order(rank_exit: RankExit) -> int:
    """Sort key: the likeliest root cause has the lowest number; ties keep the order of time."""
    if rank_exit.last_status is not None and rank_exit.last_status.kind == UNEXPECTED_ERROR:
        text = rank_exit.last_status.text.lower()
        return 2 if any(library in text for library in _COLLECTIVE_LIBRARIES) else 0
    return 1 if rank_exit.was_killed else 0


def _lost_rank_error(rank_exit: RankExit) -> LostRankError:
    if rank_exit.last_status is not None and rank_exit.last_status.kind == UNEXPECTED_ERROR:
        text = f"rank {rank_exit.rank}: {rank_exit.last_status.text}"
        return LostRankError(rank_exit.rank, text, is_exception=True)
    description = "stopped responding" if rank_exit.was_killed else rank_exit.failure
    return LostRankError(rank_exit.rank, f"rank {rank_exit.rank} {description}")
