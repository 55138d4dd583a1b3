"""Distribute the cores of a machine among the ranks on it."""

from __future__ import annotations

import os
from collections.abc import Sequence

# macOS has no call that sets the CPU affinity.
_CAN_PIN = hasattr(os, "sched_setaffinity")


def num_threads(local_size: int) -> int:
    """Return how many threads a rank should use, whether or not it is pinned to its cores.

    Args:
        local_size: number of ranks on this machine.
    """
    return max(1, min(num_usable_cores(), (os.cpu_count() or 1) // local_size))


def num_usable_cores() -> int:
    """Return on how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if _CAN_PIN else os.cpu_count() or 1


def rank_cores(cores: Sequence[int], local_rank: int, local_size: int) -> list[int]:
    """Return the cores of one of the machine's `local_size` ranks: equally many for each rank.

    No core belongs to two ranks, unless there are more ranks than cores; then each gets all cores.
    """
    cores_per_rank = len(cores) // local_size
    start = local_rank * cores_per_rank
    return sorted(cores)[start : start + cores_per_rank] or sorted(cores)


def pin_to_rank_cores(local_rank: int, local_size: int) -> None:
    """Pin this process to its cores; call it before the process starts threads.

    Ranks wake each other at every step, and Linux then tends to put both on one core: two ranks on
    two cores were at times no faster than one.
    """
    if _CAN_PIN:
        os.sched_setaffinity(0, rank_cores(list(os.sched_getaffinity(0)), local_rank, local_size))


def pin_to_one_core() -> bool:
    """Pin this process to one of its cores, and return whether that is possible here."""
    if _CAN_PIN:
        os.sched_setaffinity(0, rank_cores(list(os.sched_getaffinity(0)), 0, 1)[-1:])
    return _CAN_PIN
