"""Which of the processes that train together this one is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """A rank's view of all ranks."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among the ranks of this machine
    local_size: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.size and 0 <= self.local_rank < self.local_size):
            raise ValueError(f"no such world: {self}")

    @property
    def is_first(self) -> bool:
        """Rank 0 is the one that prints, and that writes what all ranks share."""
        return self.rank == 0


def detect_world() -> World:
    """Start Horovod and ask it. A process that no launcher started is a world of its own."""
    import horovod.tensorflow as hvd  # here, as it takes TensorFlow's seconds to import

    hvd.init()
    return World(hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size())
