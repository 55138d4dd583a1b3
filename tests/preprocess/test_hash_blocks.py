"""The blocks of all keys together give the result of comparing all pairs of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.preprocess import hash_blocks, hash_search
from halftone.preprocess.hash_blocks import pack_blocks
from halftone.preprocess.hash_keys import SearchPlan, key_masks, plan_search
from hash_pairs import (
    HashRow,
    hash_rows,
    hash_table,
    match_all_pairs,
    match_by_plan,
    random_rows,
)


def test_a_block_has_the_rows_of_a_unit_and_a_split() -> None:
    rows = [HashRow(1, 0, 8, 3), HashRow(2, 2, 9, 5), HashRow(3, 0, 8, 3), HashRow(0, 2, 9, 6)]
    plan = SearchPlan(1, tuple(key_masks(1, 1)), num_ranges=1, num_partitions=2)
    (of_even, of_odd) = pack_blocks(plan, [70, 80], iter([hash_table(rows)]))
    blocks = of_even.to_pylist()
    assert [(b["partition_key"], b["unit"], b["split"]) for b in blocks] == [(70, 0, 0), (70, 0, 2)]
    # Of equal rows of the first split, one is enough.
    assert [np.frombuffer(b["ids"], np.int64).tolist() for b in blocks] == [[1], [2, 0]]
    assert [np.frombuffer(b["labels"], np.int64).tolist() for b in blocks] == [[8], [9, 9]]
    # The even bits are moved to the highest 32 bits.
    hashes = [np.frombuffer(b["hashes"], np.uint64).tolist() for b in blocks]
    assert hashes == [[1 << 32 | 1], [0b11 << 32, 0b10 << 32 | 1]]
    assert set(of_odd["unit"].to_pylist()) == {1}
    assert set(of_odd["partition_key"].to_pylist()) == {80}


def test_no_rows_give_no_blocks() -> None:
    assert list(pack_blocks(plan_search(0, 4), [0], iter([]))) == []
    assert list(pack_blocks(plan_search(0, 4), [0], iter([hash_table([])]))) == []


def test_tables_are_joined_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_blocks, "_SLICE_ROWS", 4)
    tables = [hash_table([HashRow(n, 0, 0, n)] * 2) for n in range(5)]
    assert [t.num_rows for t in hash_blocks._join_tables(iter(tables))] == [4, 4, 2]


@st.composite
def plans(draw: st.DrawFn) -> SearchPlan:
    distance = draw(st.one_of(st.integers(0, 10), st.integers(0, 63)))
    equal = draw(st.integers(0, min(2, 64 - distance))) if distance <= 6 else 0
    masks = key_masks(distance, equal)
    num_ranges = draw(st.integers(1, 5)) if equal else 1
    num_partitions = draw(st.integers(1, len(masks) * num_ranges))
    return SearchPlan(distance, tuple(masks), num_ranges, num_partitions)


@given(hash_rows(), plans(), st.sampled_from([1, 3, 1 << 17]), st.data())
@settings(max_examples=200)
def test_the_result_is_that_of_comparing_all_pairs(
    rows: list[HashRow], plan: SearchPlan, chunk_pairs: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    tables = [hash_table(rows[:cut]), hash_table(rows[cut:])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hash_search, "_CHUNK_PAIRS", chunk_pairs)
        patch.setattr(hash_blocks, "_SLICE_ROWS", 8)
        assert match_by_plan(rows, plan, tables) == match_all_pairs(rows, plan.max_distance)


@pytest.mark.parametrize("distance", [0, 1, 15, 62, 63])
def test_every_distance_has_an_exact_plan_for_many_rows(distance: int) -> None:
    rows = random_rows(100)
    plan = plan_search(100_000, distance)
    assert match_by_plan(rows, plan) == match_all_pairs(rows, distance)


@pytest.mark.parametrize(("distance", "num_equal"), [(0, 1), (1, 2), (4, 1), (4, 2), (6, 2)])
def test_the_result_is_that_of_comparing_all_pairs_of_1_500_rows(
    distance: int, num_equal: int
) -> None:
    rows = random_rows(1500)
    masks = tuple(key_masks(distance, num_equal))
    plan = SearchPlan(distance, masks, num_ranges=3, num_partitions=2 * len(masks))
    result = match_by_plan(rows, plan)
    assert result == match_all_pairs(rows, distance)
    assert len(result) > 20
