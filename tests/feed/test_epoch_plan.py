"""Plans of epochs: exactly once, equal steps, on any number of ranks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from halftone.dataset.manifest import ShardFile
from halftone.feed import epoch_plan
from halftone.feed.epoch_plan import EpochPlan, ShardSlice


def shard(number: int, rows: int) -> ShardFile:
    return ShardFile(path=f"train/{number:05d}", split="train", rows=rows, size_bytes=1, digest="")


def covered(plan: EpochPlan) -> dict[str, list[tuple[int, int]]]:
    """The stretches of each shard that ranks read, in order."""
    stretches: dict[str, list[tuple[int, int]]] = {}
    for pieces in plan.rank_slices:
        for piece in pieces:
            stretches.setdefault(piece.shard.path, []).append((piece.start, piece.stop))
    return {path: sorted(found) for path, found in stretches.items()}


def assert_each_row_once(plan: EpochPlan, shards: list[ShardFile]) -> None:
    stretches = covered(plan)
    assert sorted(stretches) == [own.path for own in shards]
    for own in shards:
        ends = [0]
        for start, stop in stretches[own.path]:
            assert start == ends[-1] < stop
            ends.append(stop)
        assert ends[-1] == own.rows


# 1 to 100,000 rows in all.
COUNTS = st.lists(st.integers(1, 1_250), min_size=1, max_size=80)


@given(
    COUNTS,
    st.integers(1, 64),
    st.integers(1, 300),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_an_epoch_gives_every_row_to_one_rank_in_equal_steps(
    counts: list[int], size: int, rank_batch: int, seed: int, epoch: int, aggregate: int
) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    plan = epoch_plan.plan_epoch(shards, size, size * rank_batch, seed, epoch, aggregate)
    assert_each_row_once(plan, shards)
    rows = [plan.count_rows(rank) for rank in range(size)]
    assert max(rows) - min(rows) <= 1
    # The fullest rank sets the steps: fewer would lose rows, more would be all filler.
    assert max(rows) <= plan.steps * rank_batch
    assert (plan.steps - aggregate) * rank_batch < max(rows)
    assert plan.steps % aggregate == 0
    assert plan.rank_batch_size == rank_batch


@given(COUNTS, st.integers(1, 64), st.integers(1, 300))
def test_validation_gives_every_row_to_one_rank_even_where_ranks_get_none(
    counts: list[int], size: int, batch: int
) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    plan = epoch_plan.partition_shards(shards, size, batch)
    assert_each_row_once(plan, shards)
    assert max(plan.count_rows(rank) for rank in range(size)) <= plan.steps * plan.rank_batch_size


@given(COUNTS, st.integers(1, 64))
def test_a_rank_shares_no_more_than_its_first_and_last_shard(counts: list[int], size: int) -> None:
    shards = [shard(number, rows) for number, rows in enumerate(counts)]
    for pieces in epoch_plan.partition_shards(shards, size, 64).rank_slices:
        assert all(piece.rows == piece.shard.rows for piece in pieces[1:-1])


def test_a_plan_in_full() -> None:
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


def test_the_same_epoch_is_the_same_plan_and_another_is_another() -> None:
    shards = [shard(number, 10) for number in range(16)]
    first = epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=1)
    assert epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=1) == first
    assert epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=2) != first
    assert epoch_plan.plan_epoch(shards, 2, 8, seed=8, epoch=1) != first


def test_names_of_files_make_no_difference() -> None:
    shards = [shard(number, 10) for number in range(16)]
    named = [own.model_copy(update={"path": f"{99 - n}"}) for n, own in enumerate(shards)]
    first, second = (
        [
            [own.index(piece.shard) for piece in pieces]
            for pieces in epoch_plan.plan_epoch(own, 2, 8, seed=7, epoch=1).rank_slices
        ]
        for own in (shards, named)
    )
    assert first == second


def test_ranks_exchange_shards_between_epochs() -> None:
    shards = [shard(number, 10) for number in range(16)]
    seen = set()
    for epoch in range(1, 13):
        plan = epoch_plan.plan_epoch(shards, 2, 8, seed=7, epoch=epoch)
        seen |= {own.shard.path for own in plan.rank_slices[0]}
    assert len(seen) == 16
