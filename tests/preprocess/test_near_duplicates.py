"""The search gives the result of comparing all pairs, in bounded time and memory."""

from __future__ import annotations

import re
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.preprocess import near_duplicates

TRAIN, VALIDATION, TEST = 0, 1, 2


def match(hashes: list[int], split_ids: list[int], distance: int) -> list[tuple[int, int, int]]:
    result = near_duplicates.match_hashes(
        np.array(hashes, np.uint64), np.array(split_ids, np.int8), distance
    )
    assert all(column.dtype == np.int64 for column in result)
    return list(zip(*(column.tolist() for column in result)))


def match_all_pairs(
    hashes: list[int], split_ids: list[int], distance: int
) -> list[tuple[int, int, int]]:
    nearest = []
    for row, split_id in enumerate(split_ids):
        distances = [
            (bin(hashes[row] ^ hashes[other]).count("1"), other)
            for other in range(len(split_ids))
            if split_ids[other] < split_id
        ]
        if distances and min(distances)[0] <= distance:
            nearest.append((row, min(distances)[1], min(distances)[0]))
    return nearest


# --- by hand --------------------------------------------------------------------------------------


def test_a_row_matches_only_rows_of_earlier_splits() -> None:
    hashes = [0b1111, 0b0111, 0b0011, 0b1111]
    assert match(hashes, [TRAIN, TRAIN, TRAIN, TRAIN], 4) == []
    assert match(hashes, [TEST, TRAIN, TEST, TEST], 4) == [(0, 1, 1), (2, 1, 1), (3, 1, 1)]
    assert match(hashes, [TRAIN, VALIDATION, TEST, TEST], 4) == [(1, 0, 1), (2, 1, 1), (3, 0, 0)]


def test_the_match_is_the_nearest_row_and_the_first_of_several() -> None:
    hashes = [0b111000, 0b000001, 0b000010, 0b000001, 0b000000]
    assert match(hashes, [TRAIN, TRAIN, TRAIN, TRAIN, TEST], 5) == [(4, 1, 1)]
    assert match(hashes, [TRAIN, TEST, TRAIN, TEST, TEST], 5) == [(1, 2, 2), (3, 2, 2), (4, 2, 1)]


@pytest.mark.parametrize(("distance", "expected"), [(3, []), (4, [(1, 0, 4)]), (63, [(1, 0, 4)])])
def test_the_distance_is_inclusive(distance: int, expected: list[tuple[int, int, int]]) -> None:
    highest_and_lowest = 1 << 63 | 1 << 31 | 1 << 17 | 1
    assert match([0, highest_and_lowest], [TRAIN, TEST], distance) == expected


def test_a_hash_with_all_bits_different_never_matches() -> None:
    assert match([0, 2**64 - 1], [TRAIN, TEST], 63) == []


@pytest.mark.parametrize("split_ids", [[], [TEST], [TEST, TEST]])
def test_without_an_earlier_split_there_are_no_matches(split_ids: list[int]) -> None:
    assert match([7] * len(split_ids), split_ids, 4) == []


# --- against comparing all pairs ------------------------------------------------------------------

CENTRES = st.integers(0, 2**64 - 1)
FEW_BITS = st.lists(st.integers(0, 63), max_size=6).map(
    lambda bits: sum(1 << bit for bit in set(bits))
)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Hashes around a few centres, so that many are near, and their split ids."""
    centres = draw(st.lists(CENTRES, min_size=1, max_size=3))
    around = st.tuples(st.sampled_from(centres), FEW_BITS).map(lambda pair: pair[0] ^ pair[1])
    hashes = draw(st.lists(around, max_size=30))
    some_split = st.integers(TRAIN, TEST)
    split_ids = draw(st.lists(some_split, min_size=len(hashes), max_size=len(hashes)))
    return hashes, split_ids


@given(rows(), st.one_of(st.integers(0, 10), st.integers(0, 63)), st.sampled_from([1, 3, 1 << 17]))
@settings(deadline=None, max_examples=300)
def test_the_result_is_that_of_comparing_all_pairs(
    some_rows: tuple[list[int], list[int]], distance: int, chunk_pairs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_CHUNK_PAIRS", chunk_pairs)
        assert match(*some_rows, distance) == match_all_pairs(*some_rows, distance)


@pytest.mark.parametrize("distance", [0, 1, 4, 6])
def test_the_result_is_that_of_comparing_all_pairs_of_2_000_rows(distance: int) -> None:
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, 2000, dtype=np.uint64)
    copies = hashes[rng.integers(0, 2000, 300)]
    for _ in range(5):
        copies ^= np.uint64(1) << rng.integers(0, 64, 300, dtype=np.uint64)
    hashes[rng.permutation(2000)[:300]] = copies
    split_ids = rng.choice(3, 2000).astype(np.int8)
    result = match(hashes.tolist(), split_ids.tolist(), distance)
    assert result == match_all_pairs(hashes.tolist(), split_ids.tolist(), distance)
    assert distance < 4 or len(result) > 20


# --- size -----------------------------------------------------------------------------------------


def test_100_000_equal_hashes_take_seconds() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 120_000, dtype=np.uint64)
    hashes[:100_000] = 0
    split_ids = rng.choice(3, len(hashes)).astype(np.int8)
    started = time.perf_counter()
    result = near_duplicates.match_hashes(hashes, split_ids, 4)
    assert time.perf_counter() - started < 10
    assert len(result.row) == np.count_nonzero(split_ids[:100_000])
    assert not result.distance.any()


def test_memory_is_bounded_if_all_hashes_share_a_band() -> None:
    # The low 32 bits of all are 0, so they share bands, but none is near another: 1.6e7 pairs.
    rng = np.random.default_rng(0)
    high = np.unique(rng.integers(0, 2**32, 8000, dtype=np.uint64))
    hashes, split_ids = high << np.uint64(32), np.arange(len(high)).astype(np.int8) % np.int8(2)
    tracemalloc.start()
    near_duplicates.match_hashes(hashes, split_ids, 2)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20e6


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hashes", "split_ids", "distance", "message"),
    [
        (np.zeros(2, np.uint64), np.zeros(3, np.int8), 4,
         "hashes have shape (2,), split_ids (3,); both must be (n,)"),
        (np.zeros((2, 1), np.uint64), np.zeros((2, 1), np.int8), 4,
         "hashes have shape (2, 1), split_ids (2, 1); both must be (n,)"),
        (np.zeros(2, np.int64), np.zeros(2, np.int8), 4,
         "hashes are int64, split_ids int8; must be uint64 and int8"),
        (np.zeros(2, np.uint64), np.zeros(2, np.uint8), 4,
         "hashes are uint64, split_ids uint8; must be uint64 and int8"),
        (np.zeros(2, np.uint64), np.zeros(2, np.int8), -1,
         "max_distance is -1; it must be 0 to 63"),
        (np.zeros(2, np.uint64), np.zeros(2, np.int8), 64,
         "max_distance is 64; it must be 0 to 63"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_errors(
    hashes: np.ndarray, split_ids: np.ndarray, distance: int, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        near_duplicates.match_hashes(hashes, split_ids, distance)


def test_the_arguments_are_not_modified() -> None:
    hashes, split_ids = np.arange(50, dtype=np.uint64), np.arange(50).astype(np.int8) % np.int8(3)
    near_duplicates.match_hashes(hashes, split_ids, 3)
    assert hashes.tolist() == list(range(50))
    assert split_ids.tolist() == [row % 3 for row in range(50)]
