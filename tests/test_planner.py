from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import planner
from halftone.errors import InputError
from halftone.manifest import ShardFile


def shard(number: int, rows: int) -> ShardFile:
    return ShardFile(path=f"train/{number:05d}", split="train", rows=rows, size_bytes=1, digest="")


COUNTS = st.lists(st.integers(1, 5_000), min_size=1, max_size=80)


@given(COUNTS, st.integers(1, 64), st.integers(1, 8), st.integers(0, 3), st.integers(1, 3))
def test_an_epoch_gives_every_row_to_one_rank_in_equal_steps(
    counts: list[int], size: int, rank_batch: int, seed: int, epoch: int
) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    size = min(size, len(shards))
    plan = planner.plan_epoch(shards, size, size * rank_batch, seed, epoch)
    dealt = [own.path for rank in plan.shards for own in rank]
    assert sorted(dealt) == [own.path for own in shards]
    rows = [plan.rows(rank) for rank in range(size)]
    assert sum(rows) == sum(counts)
    assert max(rows) - min(rows) <= max(counts)
    # The fullest rank sets the steps: one less would lose rows, one more would be all filler.
    assert (plan.steps - 1) * rank_batch < max(rows) <= plan.steps * rank_batch
    assert plan.rank_batch == rank_batch
    assert all(plan.shards)


@given(COUNTS, st.integers(1, 64), st.integers(1, 300))
def test_validation_gives_every_row_to_one_rank_even_where_ranks_get_none(
    counts: list[int], size: int, batch: int
) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    plan = planner.plan_once(shards, size, batch)
    assert sorted(own.path for rank in plan.shards for own in rank) == [s.path for s in shards]
    assert max(plan.rows(rank) for rank in range(size)) <= plan.steps * plan.rank_batch


def test_the_same_epoch_is_the_same_plan_and_another_is_another() -> None:
    shards = [shard(number, 10) for number in range(16)]
    first = planner.plan_epoch(shards, 2, 8, seed=7, epoch=1)
    assert planner.plan_epoch(shards[::-1], 2, 8, seed=7, epoch=1) == first
    assert planner.plan_epoch(shards, 2, 8, seed=7, epoch=2) != first
    assert planner.plan_epoch(shards, 2, 8, seed=8, epoch=1) != first


def test_ranks_exchange_shards_between_epochs() -> None:
    shards = [shard(number, 10) for number in range(16)]
    seen = set()
    for epoch in range(1, 13):
        plan = planner.plan_epoch(shards, 2, 8, seed=7, epoch=epoch)
        seen |= {own.path for own in plan.shards[0]}
    assert len(seen) == 16


def test_more_ranks_than_row_groups() -> None:
    with pytest.raises(InputError) as caught:
        planner.plan_epoch([shard(0, 9), shard(1, 9)], size=3, batch_size=3, seed=0, epoch=1)
    assert str(caught.value) == (
        "3 ranks, but the train split has 2 row groups to share among them; use train.ranks=2 or "
        "fewer, or preprocess with a smaller preprocess.rows_per_shard"
    )
