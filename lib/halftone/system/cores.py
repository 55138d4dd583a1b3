"""Which cores of a machine are whose, where several ranks share it."""

from __future__ import annotations

import os
from collections.abc import Sequence

# Of the calling thread and those that it starts. macOS has no such thing.
_CAN_PIN = hasattr(os, "sched_setaffinity")


def num_threads(local_size: int) -> int:
    """How many threads a rank should compute in, whether or not it was kept to its share."""
    all_cores = os.cpu_count() or 1
    own = len(os.sched_getaffinity(0)) if _CAN_PIN else all_cores
    return max(1, min(own, all_cores // local_size))


def rank_cores(cores: Sequence[int], local_rank: int, local_size: int) -> list[int]:
    """The cores of one of a machine's `local_size` ranks: as many for each, and none for two.

    All cores where there are more ranks than cores: then none can have one for itself.
    """
    each = len(cores) // local_size
    return sorted(cores)[local_rank * each : (local_rank + 1) * each] or sorted(cores)


def pin_to_rank_cores(local_rank: int, local_size: int) -> None:
    """Keep this process to its share. To be called before it starts threads.

    Ranks wake each other at every step, and Linux then likes to put both on one core: two ranks on
    two cores were at times no faster than one.
    """
    if _CAN_PIN:
        os.sched_setaffinity(0, rank_cores(list(os.sched_getaffinity(0)), local_rank, local_size))
