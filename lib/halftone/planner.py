"""Which rank reads which rows in which epoch: pure, so that every rank works out the same.

Over an epoch each row goes to one rank once, and all ranks take the same number of steps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from halftone.errors import InputError
from halftone.manifest import ShardFile


class Plan(NamedTuple):
    """An epoch: the shards of each rank, in the order in which it reads them."""

    shards: list[list[ShardFile]]
    steps: int  # the same on every rank
    rank_batch: int  # rows a step on one rank

    def rows(self, rank: int) -> int:
        return sum(shard.rows for shard in self.shards[rank])


def plan_epoch(
    shards: Sequence[ShardFile], size: int, batch_size: int, seed: int, epoch: int
) -> Plan:
    """Deal the shards out to `size` ranks, anew for each (seed, epoch), balanced by rows.

    Args:
        batch_size: rows a step over all ranks together; `size` divides it.

    Raises:
        InputError: there are fewer shards than ranks.
    """
    if len(shards) < size:
        raise InputError(
            f"{size} ranks, but the train split has {len(shards)} row groups to share among them; "
            f"use train.ranks={max(1, len(shards))} or fewer, or preprocess with a smaller "
            "preprocess.rows_per_shard"
        )
    shuffled = sorted(shards, key=lambda shard: shard.path)
    random.Random(f"{seed}:{epoch}").shuffle(shuffled)
    plan = plan_once(shuffled, size, batch_size)
    for rank, own in enumerate(plan.shards):
        random.Random(f"{seed}:{epoch}:{rank}").shuffle(own)
    return plan


def plan_once(shards: Sequence[ShardFile], size: int, batch_size: int) -> Plan:
    """Deal the shards out to `size` ranks, balanced by rows. A rank may be left without any.

    The fullest shard goes first, each to the rank that has least so far: the ranks' rows then
    differ by no more than the rows of one shard.
    """
    dealt: list[list[ShardFile]] = [[] for _ in range(size)]
    rows = [0] * size
    for shard in sorted(shards, key=lambda shard: -shard.rows):
        rank = rows.index(min(rows))
        dealt[rank].append(shard)
        rows[rank] += shard.rows
    rank_batch = -(-batch_size // size)
    return Plan(dealt, steps=-(-max(rows) // rank_batch), rank_batch=rank_batch)
