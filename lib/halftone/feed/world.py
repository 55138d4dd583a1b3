"""The position of this process among the ranks of a training."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """The rank of a process and the number of ranks."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among the ranks of this machine
    local_size: int = 1  # number of ranks on this machine

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.size and 0 <= self.local_rank < self.local_size):
            raise ValueError(f"rank or local_rank out of range: {self}")

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which prints and writes for all ranks."""
        return self.rank == 0


def detect_world() -> World:
    """Return the world of this process, and initialise Horovod if there are other ranks.

    Horovod aborts the process if this machine's name has no address, so a single rank, which needs
    no network, does without it.
    """
    if int(os.environ.get("HOROVOD_SIZE", "1")) == 1:
        return World()
    import horovod.tensorflow as hvd  # here: it imports TensorFlow, which takes seconds

    hvd.init()
    return World(hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size())
