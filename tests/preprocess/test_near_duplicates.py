"""The search finds what comparing all with all finds, and does not go quadratic on equal hashes."""

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


def found(hashes: list[int], sides: list[int], distance: int) -> list[tuple[int, int, int]]:
    result = near_duplicates.match_hashes(
        np.array(hashes, np.uint64), np.array(sides, np.int8), distance
    )
    assert all(column.dtype == np.int64 for column in result)
    return list(zip(*(column.tolist() for column in result)))


def found_by_comparing_all(
    hashes: list[int], sides: list[int], distance: int
) -> list[tuple[int, int, int]]:
    nearest = []
    for row, side in enumerate(sides):
        apart = [
            (bin(hashes[row] ^ hashes[other]).count("1"), other)
            for other in range(len(sides))
            if sides[other] < side
        ]
        if apart and min(apart)[0] <= distance:
            nearest.append((row, min(apart)[1], min(apart)[0]))
    return nearest


# --- by hand --------------------------------------------------------------------------------------


def test_a_row_is_near_to_one_of_an_earlier_split_never_to_its_own_or_a_later_one() -> None:
    hashes = [0b1111, 0b0111, 0b0011, 0b1111]
    assert found(hashes, [TRAIN, TRAIN, TRAIN, TRAIN], 4) == []
    assert found(hashes, [TEST, TRAIN, TEST, TEST], 4) == [(0, 1, 1), (2, 1, 1), (3, 1, 1)]
    assert found(hashes, [TRAIN, VALIDATION, TEST, TEST], 4) == [(1, 0, 1), (2, 1, 1), (3, 0, 0)]


def test_the_nearest_is_named_and_of_several_the_first() -> None:
    hashes = [0b111000, 0b000001, 0b000010, 0b000001, 0b000000]
    assert found(hashes, [TRAIN, TRAIN, TRAIN, TRAIN, TEST], 5) == [(4, 1, 1)]
    assert found(hashes, [TRAIN, TEST, TRAIN, TEST, TEST], 5) == [(1, 2, 2), (3, 2, 2), (4, 2, 1)]


@pytest.mark.parametrize(("distance", "expected"), [(3, []), (4, [(1, 0, 4)]), (63, [(1, 0, 4)])])
def test_the_distance_is_inclusive(distance: int, expected: list[tuple[int, int, int]]) -> None:
    highest_and_lowest = 1 << 63 | 1 << 31 | 1 << 17 | 1
    assert found([0, highest_and_lowest], [TRAIN, TEST], distance) == expected


def test_all_bits_apart_is_never_near() -> None:
    assert found([0, 2**64 - 1], [TRAIN, TEST], 63) == []


@pytest.mark.parametrize("sides", [[], [TEST], [TEST, TEST]])
def test_without_an_earlier_split_nothing_is_found(sides: list[int]) -> None:
    assert found([7] * len(sides), sides, 4) == []


# --- against comparing all with all ---------------------------------------------------------------

CENTRES = st.integers(0, 2**64 - 1)
FEW_BITS = st.lists(st.integers(0, 63), max_size=6).map(
    lambda bits: sum(1 << bit for bit in set(bits))
)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Hashes around a few centres, so that many are near, and their sides."""
    centres = draw(st.lists(CENTRES, min_size=1, max_size=3))
    around = st.tuples(st.sampled_from(centres), FEW_BITS).map(lambda pair: pair[0] ^ pair[1])
    hashes = draw(st.lists(around, max_size=30))
    some_side = st.integers(TRAIN, TEST)
    sides = draw(st.lists(some_side, min_size=len(hashes), max_size=len(hashes)))
    return hashes, sides


@given(rows(), st.one_of(st.integers(0, 10), st.integers(0, 63)), st.sampled_from([1, 3, 1 << 17]))
@settings(deadline=None, max_examples=300)
def test_equal_to_comparing_all_with_all(
    some_rows: tuple[list[int], list[int]], distance: int, chunk_pairs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_CHUNK_PAIRS", chunk_pairs)
        assert found(*some_rows, distance) == found_by_comparing_all(*some_rows, distance)


@pytest.mark.parametrize("distance", [0, 1, 4, 6])
def test_equal_to_comparing_all_with_all_in_2_000_random_rows(distance: int) -> None:
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, 2000, dtype=np.uint64)
    copies = hashes[rng.integers(0, 2000, 300)]
    for _ in range(5):
        copies ^= np.uint64(1) << rng.integers(0, 64, 300, dtype=np.uint64)
    hashes[rng.permutation(2000)[:300]] = copies
    sides = rng.choice(3, 2000).astype(np.int8)
    result = found(hashes.tolist(), sides.tolist(), distance)
    assert result == found_by_comparing_all(hashes.tolist(), sides.tolist(), distance)
    assert distance < 4 or len(result) > 20


# --- size -----------------------------------------------------------------------------------------


def test_100_000_black_pictures_are_no_10_billion_pairs() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 120_000, dtype=np.uint64)
    hashes[:100_000] = 0
    sides = rng.choice(3, len(hashes)).astype(np.int8)
    started = time.perf_counter()
    result = near_duplicates.match_hashes(hashes, sides, 4)
    assert time.perf_counter() - started < 10
    assert len(result.row) == np.count_nonzero(sides[:100_000])
    assert not result.distance.any()


def test_memory_stays_bounded_where_a_band_is_shared_by_all() -> None:
    # The low 32 bits are 0 in all, so they share bands, and none is near any other: 1.6e7 pairs.
    rng = np.random.default_rng(0)
    high = np.unique(rng.integers(0, 2**32, 8000, dtype=np.uint64))
    hashes, sides = high << np.uint64(32), np.arange(len(high)).astype(np.int8) % np.int8(2)
    tracemalloc.start()
    near_duplicates.match_hashes(hashes, sides, 2)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20e6


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hashes", "sides", "distance", "message"),
    [
        (np.zeros(2, np.uint64), np.zeros(3, np.int8), 4,
         "hashes (2,) and sides (3,); both must be (n,)"),
        (np.zeros((2, 1), np.uint64), np.zeros((2, 1), np.int8), 4,
         "hashes (2, 1) and sides (2, 1); both must be (n,)"),
        (np.zeros(2, np.int64), np.zeros(2, np.int8), 4,
         "hashes int64, sides int8; must be uint64 and int8"),
        (np.zeros(2, np.uint64), np.zeros(2, np.uint8), 4,
         "hashes uint64, sides uint8; must be uint64 and int8"),
        (np.zeros(2, np.uint64), np.zeros(2, np.int8), -1, "distance is -1; it must be 0 to 63"),
        (np.zeros(2, np.uint64), np.zeros(2, np.int8), 64, "distance is 64; it must be 0 to 63"),
    ],
)  # fmt: skip
def test_refusals(hashes: np.ndarray, sides: np.ndarray, distance: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        near_duplicates.match_hashes(hashes, sides, distance)


def test_the_input_is_left_as_it_was() -> None:
    hashes, sides = np.arange(50, dtype=np.uint64), np.arange(50).astype(np.int8) % np.int8(3)
    near_duplicates.match_hashes(hashes, sides, 3)
    assert hashes.tolist() == list(range(50))
    assert sides.tolist() == [row % 3 for row in range(50)]
