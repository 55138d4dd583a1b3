"""Plan which rank reads which rows in an epoch, by pure functions with equal results on all ranks.

Each row goes to exactly one rank per epoch, and all ranks take the same number of steps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from halftone.dataset.shard_files import ShardFile


class ShardSlice(NamedTuple):
    """Rows `start` to `stop` (exclusive) of a shard; most slices are whole shards."""

    shard: ShardFile
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


class EpochPlan(NamedTuple):
    """The slices that each rank reads in an epoch, in order."""

    rank_slices: list[list[ShardSlice]]
    steps: int  # equal on all ranks
    rank_batch_size: int  # rows per step on one rank

    def count_rows(self, rank: int) -> int:
        return sum(shard_slice.rows for shard_slice in self.rank_slices[rank])

    def count_fill_rows(self, rank: int) -> int:
        """Return how many rows its batches need besides its own: at most one batch."""
        return self.steps * self.rank_batch_size - self.count_rows(rank)


def plan_epoch(
    shards: Sequence[ShardFile],
    world_size: int,
    batch_size: int,
    seed: int,
    epoch: int,
) -> EpochPlan:
    """Distribute the shards over `world_size` ranks, shuffled by (seed, epoch).

    Args:
        shards: in the order of the manifest, which its fingerprint covers. Their names would give
            an order that depends on when and where the images were written.
        batch_size: rows per step over all ranks together, a multiple of `world_size`.
    """
    shuffled = list(shards)
    random.Random(f"{seed}:{epoch}").shuffle(shuffled)
    plan = partition_shards(shuffled, world_size, batch_size)
    for rank, slices in enumerate(plan.rank_slices):
        random.Random(f"{seed}:{epoch}:{rank}").shuffle(slices)
    return plan


def partition_shards(shards: Sequence[ShardFile], world_size: int, batch_size: int) -> EpochPlan:
    """Cut the concatenated rows of all shards into `world_size` consecutive parts of equal length.

    The parts differ by at most one row, and a rank shares at most its first and its last shard
    with others. With fewer rows than ranks, some ranks get none.
    """
    total = sum(shard.rows for shard in shards)
    cuts = [total * rank // world_size for rank in range(world_size + 1)]
    rank_slices: list[list[ShardSlice]] = [[] for _ in range(world_size)]
    rank, rows_before = 0, 0
    for shard in shards:
        start = 0
        while start < shard.rows:
            while cuts[rank + 1] <= rows_before + start:
                rank += 1
            stop = min(shard.rows, cuts[rank + 1] - rows_before)
            rank_slices[rank].append(ShardSlice(shard, start, stop))
            start = stop
        rows_before += shard.rows
    max_rows = max(cuts[rank + 1] - cuts[rank] for rank in range(world_size))
    rank_batch_size = -(-batch_size // world_size)
    return EpochPlan(rank_slices, -(-max_rows // rank_batch_size), rank_batch_size)
