"""Which rank reads which rows in which epoch: pure, so that every rank works out the same.

Over an epoch each row goes to one rank once, and all ranks take the same number of steps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from halftone.dataset.manifest import ShardFile


class Piece(NamedTuple):
    """Rows `start` to `stop` of a shard; most pieces are whole shards."""

    shard: ShardFile
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


class Plan(NamedTuple):
    """An epoch: the pieces of each rank, in the order in which it reads them."""

    pieces: list[list[Piece]]
    steps: int  # the same on every rank
    rank_batch: int  # rows a step on one rank

    def rows(self, rank: int) -> int:
        return sum(piece.rows for piece in self.pieces[rank])


def plan_epoch(
    shards: Sequence[ShardFile],
    size: int,
    batch_size: int,
    seed: int,
    epoch: int,
    aggregate_steps: int = 1,
) -> Plan:
    """Deal the shards out to `size` ranks, anew for each (seed, epoch).

    Args:
        shards: in the manifest's order, which its fingerprint is of. By name they would be in an
            order that follows from when and where the images were written.
        batch_size: rows a step over all ranks together; `size` divides it.
        aggregate_steps: the number of steps is made a multiple of it.
    """
    shuffled = list(shards)
    random.Random(f"{seed}:{epoch}").shuffle(shuffled)
    plan = plan_once(shuffled, size, batch_size)
    for rank, own in enumerate(plan.pieces):
        random.Random(f"{seed}:{epoch}:{rank}").shuffle(own)
    return plan._replace(steps=-(-plan.steps // aggregate_steps) * aggregate_steps)


def plan_once(shards: Sequence[ShardFile], size: int, batch_size: int) -> Plan:
    """Cut the rows of all shards, laid end to end, into `size` stretches of equal length.

    So ranks differ by no more than one row, and each shares no more than its first and its last
    shard with others. With fewer rows than ranks some get none.
    """
    total = sum(shard.rows for shard in shards)
    cuts = [total * rank // size for rank in range(size + 1)]
    pieces: list[list[Piece]] = [[] for _ in range(size)]
    rank, before = 0, 0
    for shard in shards:
        start = 0
        while start < shard.rows:
            while cuts[rank + 1] <= before + start:
                rank += 1
            stop = min(shard.rows, cuts[rank + 1] - before)
            pieces[rank].append(Piece(shard, start, stop))
            start = stop
        before += shard.rows
    fullest = max(cuts[rank + 1] - cuts[rank] for rank in range(size))
    rank_batch = -(-batch_size // size)
    return Plan(pieces, steps=-(-fullest // rank_batch), rank_batch=rank_batch)
