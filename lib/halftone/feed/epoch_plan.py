"""Which rank reads which rows in which epoch: pure, so that every rank works out the same.

Over an epoch each row goes to one rank once, and all ranks take the same number of steps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from halftone.dataset.manifest import ShardFile


class ShardSlice(NamedTuple):
    """Rows `start` to `stop` of a shard; most pieces are whole shards."""

    shard: ShardFile
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


class EpochPlan(NamedTuple):
    """An epoch: the pieces of each rank, in the order in which it reads them."""

    rank_slices: list[list[ShardSlice]]
    steps: int  # the same on every rank
    rank_batch_size: int  # rows a step on one rank

    def count_rows(self, rank: int) -> int:
        return sum(piece.rows for piece in self.rank_slices[rank])


def plan_epoch(
    shards: Sequence[ShardFile],
    world_size: int,
    batch_size: int,
    seed: int,
    epoch: int,
    aggregate_steps: int = 1,
) -> EpochPlan:
    """Deal the shards out to `size` ranks, anew for each (seed, epoch).

    Args:
        shards: in the manifest's order, which its fingerprint is of. By name they would be in an
            order that follows from when and where the images were written.
        batch_size: rows a step over all ranks together; `size` divides it.
        aggregate_steps: the number of steps is made a multiple of it.
    """
    shuffled = list(shards)
    random.Random(f"{seed}:{epoch}").shuffle(shuffled)
    plan = partition_shards(shuffled, world_size, batch_size)
    for rank, own in enumerate(plan.rank_slices):
        random.Random(f"{seed}:{epoch}:{rank}").shuffle(own)
    return plan._replace(steps=-(-plan.steps // aggregate_steps) * aggregate_steps)


def partition_shards(shards: Sequence[ShardFile], world_size: int, batch_size: int) -> EpochPlan:
    """Cut the rows of all shards, laid end to end, into `size` stretches of equal length.

    So ranks differ by no more than one row, and each shares no more than its first and its last
    shard with others. With fewer rows than ranks some get none.
    """
    total = sum(shard.rows for shard in shards)
    cuts = [total * rank // world_size for rank in range(world_size + 1)]
    pieces: list[list[ShardSlice]] = [[] for _ in range(world_size)]
    rank, before = 0, 0
    for shard in shards:
        start = 0
        while start < shard.rows:
            while cuts[rank + 1] <= before + start:
                rank += 1
            stop = min(shard.rows, cuts[rank + 1] - before)
            pieces[rank].append(ShardSlice(shard, start, stop))
            start = stop
        before += shard.rows
    fullest = max(cuts[rank + 1] - cuts[rank] for rank in range(world_size))
    rank_batch = -(-batch_size // world_size)
    return EpochPlan(pieces, steps=-(-fullest // rank_batch), rank_batch_size=rank_batch)
