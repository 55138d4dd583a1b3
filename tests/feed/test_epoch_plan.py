"""Epoch plans: each row exactly once, and equal steps, on any number of ranks."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from halftone.dataset.shard_files import ShardFile
from halftone.feed import epoch_plan
from halftone.feed.epoch_plan import EpochPlan, ShardSlice


def shard(number: int, rows: int) -> ShardFile:
    return ShardFile(path=f"train/{number:05d}", split="train", rows=rows, size_bytes=1, digest="")


def ranges_by_shard(plan: EpochPlan) -> dict[str, list[tuple[int, int]]]:
    """The row ranges of each shard that ranks read, in order."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for slices in plan.rank_slices:
        for item in slices:
            ranges.setdefault(item.shard.path, []).append((item.start, item.stop))
    return {path: sorted(shard_ranges) for path, shard_ranges in ranges.items()}


def assert_each_row_once(plan: EpochPlan, shards: list[ShardFile]) -> None:
    ranges = ranges_by_shard(plan)
    assert sorted(ranges) == [item.path for item in shards]
    for item in shards:
        end = 0
        for start, stop in ranges[item.path]:
            assert start == end < stop
            end = stop
        assert end == item.rows


# Rows of each shard; 1 to 100,000 rows in all.
ROW_COUNTS = st.lists(st.integers(1, 1_250), min_size=1, max_size=80)


@given(
    ROW_COUNTS,
    st.integers(1, 64),
    st.integers(1, 300),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_epoch_gives_each_row_to_one_rank_in_equal_steps(
    counts: list[int], size: int, rank_batch: int, seed: int, epoch: int
) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    plan = epoch_plan.plan_epoch(shards, size, size * rank_batch, seed, epoch)
    assert_each_row_once(plan, shards)
    rows = [plan.count_rows(rank) for rank in range(size)]
    assert max(rows) - min(rows) <= 1
    # Fewer steps would lose rows of the rank with most rows, more would repeat rows on all ranks.
    assert (plan.steps - 1) * rank_batch < max(rows) <= plan.steps * rank_batch
    assert all(0 <= plan.count_fill_rows(rank) <= rank_batch for rank in range(size))
    assert plan.rank_batch_size == rank_batch


@given(ROW_COUNTS, st.integers(1, 64), st.integers(1, 300))
def test_partition_gives_each_row_to_one_rank_even_if_some_get_none(
    counts: list[int], size: int, batch: int
) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    plan = epoch_plan.partition_shards(shards, size, batch)
    assert_each_row_once(plan, shards)
    assert max(plan.count_rows(rank) for rank in range(size)) <= plan.steps * plan.rank_batch_size


@given(ROW_COUNTS, st.integers(1, 64))
def test_rank_shares_at_most_its_first_and_last_shard(counts: list[int], size: int) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    for slices in epoch_plan.partition_shards(shards, size, 64).rank_slices:
        assert all(item.rows == item.shard.rows for item in slices[1:-1])


def test_plan_by_literal_slices() -> None:
    first, second, third = shard(0, 5), shard(1, 2), shard(2, 4)
    plan = epoch_plan.partition_shards([first, second, third], world_size=2, batch_size=4)
    assert plan.rank_slices == [
        [ShardSlice(first, 0, 5)],
        [ShardSlice(second, 0, 2), ShardSlice(third, 0, 4)],
    ]
    assert (plan.steps, plan.rank_batch_size) == (3, 2)
    plan = epoch_plan.partition_shards([third, second], world_size=4, batch_size=4)
    assert plan.rank_slices == [
        [ShardSlice(third, 0, 1)],
        [ShardSlice(third, 1, 3)],
        [ShardSlice(third, 3, 4)],
        [ShardSlice(second, 0, 2)],
    ]


def test_more_ranks_than_rows() -> None:
    plan = epoch_plan.plan_epoch([shard(0, 2)], world_size=3, batch_size=3, seed=0, epoch=1)
    assert sorted(plan.count_rows(rank) for rank in range(3)) == [0, 1, 1]
    assert plan.steps == 1


def test_plan_is_a_function_of_seed_and_epoch() -> None:
    shards = [shard(number, 10) for number in range(16)]
    first = epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=1)
    assert epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=1) == first
    assert epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=2) != first
    assert epoch_plan.plan_epoch(shards, 2, 8, seed=8, epoch=1) != first


def test_plan_does_not_depend_on_file_names() -> None:
    shards = [shard(number, 10) for number in range(16)]
    renamed = [replace(item, path=f"{99 - n}") for n, item in enumerate(shards)]
    first, second = (
        [
            [named_shards.index(item.shard) for item in slices]
            for slices in epoch_plan.plan_epoch(named_shards, 2, 8, seed=7, epoch=1).rank_slices
        ]
        for named_shards in (shards, renamed)
    )
    assert first == second


def test_ranks_exchange_shards_between_epochs() -> None:
    shards = [shard(number, 10) for number in range(16)]
    paths = set()
    for epoch in range(1, 13):
        plan = epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=epoch)
        paths |= {item.shard.path for item in plan.rank_slices[0]}
    assert len(paths) == 16
