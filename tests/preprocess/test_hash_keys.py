"""Near hashes share a key; the plan of a search bounds the size of its tasks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.preprocess.hash_keys import BitOrder, count_mask_bits, key_masks, plan_search

HASH = st.integers(0, 2**64 - 1)


def test_a_key_is_a_choice_of_bands_whose_bits_are_spread() -> None:
    even, odd = 0x5555555555555555, 0xAAAAAAAAAAAAAAAA
    assert key_masks(1, 1) == [even, odd]
    assert key_masks(0, 2) == [2**64 - 1]
    assert key_masks(4, 0) == [0]
    assert [count_mask_bits(mask) for mask in key_masks(4, 1)] == [13, 13, 13, 13, 12]
    assert [count_mask_bits(mask) for mask in key_masks(4, 2)] == [
        *(22, 22, 22, 21, 21, 22, 22, 21, 21, 22, 21, 21, 21, 21, 20),
    ]


@given(st.data(), st.integers(0, 2), HASH)
def test_near_hashes_share_a_key(data: st.DataObject, num_equal: int, value: int) -> None:
    distance = data.draw(st.integers(0, min(63, 64 - num_equal)))
    bits = data.draw(st.lists(st.integers(0, 63), max_size=distance))
    near = value
    for bit in bits:
        near ^= 1 << bit
    assert any((value ^ near) & mask == 0 for mask in key_masks(distance, num_equal))


@given(HASH, HASH, HASH)
def test_a_bit_order_moves_the_key_to_the_highest_bits(mask: int, one: int, two: int) -> None:
    moved_mask, moved_one, moved_two = (
        BitOrder(mask).move_bits(np.array([mask, one, two], np.uint64)).tolist()
    )
    key_bits = count_mask_bits(mask)
    assert moved_mask == (2**key_bits - 1) << (64 - key_bits)
    assert count_mask_bits(moved_one ^ moved_two) == count_mask_bits(one ^ two)
    assert ((moved_one ^ moved_two) & moved_mask == 0) == ((one ^ two) & mask == 0)


@pytest.mark.parametrize(
    ("num_rows", "distance", "num_keys", "num_ranges", "num_partitions"),
    [
        (0, 4, 1, 1, 1),
        (60_000, 4, 5, 1, 1),
        (1_000_000, 0, 1, 1, 1),
        (1_000_000, 4, 5, 2, 10),
        (2_000_000, 4, 15, 2, 30),
        (10_000_000, 0, 1, 5, 5),
        (10_000_000, 4, 15, 6, 90),
        (1_000, 63, 1, 1, 1),
        (1_000_000, 63, 64, 2, 128),
        (10_000_000, 16, 153, 27, 4131),
    ],
)
def test_more_rows_need_more_tasks(
    num_rows: int, distance: int, num_keys: int, num_ranges: int, num_partitions: int
) -> None:
    plan = plan_search(num_rows, distance)
    assert (len(plan.key_masks), plan.num_ranges) == (num_keys, num_ranges)
    assert plan.num_partitions == num_partitions
    used = [plan.find_partition(unit) for unit in range(plan.num_units)]
    assert set(used) == set(range(num_partitions))


@pytest.mark.parametrize("distance", [-1, 64])
def test_a_distance_out_of_range_is_an_error(distance: int) -> None:
    with pytest.raises(ValueError, match=f"^max_distance is {distance}; it must be 0 to 63$"):
        plan_search(10, distance)
