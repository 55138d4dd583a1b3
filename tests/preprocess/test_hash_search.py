"""The search of one key, by hand, and its time and memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from halftone.preprocess import hash_search
from halftone.preprocess.hash_search import (
    HashRows,
    count_bits,
    find_nearest,
    index_rows,
    keep_least_ids,
)

NO_KEYS = np.empty(0, np.uint64)


def rows(*values: tuple[int, int, int]) -> HashRows:
    """Rows of (hash, id, label)."""
    hashes, ids, labels = zip(*values)
    return HashRows(np.array(hashes, np.uint64), np.array(ids), np.array(labels))


def numbered(hashes: np.ndarray, labels: int = 1) -> HashRows:
    ids = np.arange(len(hashes))
    return HashRows(hashes, ids, ids % labels)


def search(
    splits: dict[int, HashRows], distance: int, key_bits: int = 0, earlier: np.ndarray = NO_KEYS
) -> list[tuple[int, int, int]]:
    found = find_nearest(splits, key_bits, earlier, distance)
    return sorted(row for part in found for row in zip(*(column.tolist() for column in part)))


def test_rows_are_grouped_by_hash_and_label() -> None:
    index = index_rows(rows((7, 1, 5), (2, 4, 6), (7, 3, 4), (7, 0, 5)))
    assert index.hashes.tolist() == [2, 7]
    assert index.least_ids.tolist() == [4, 0]
    assert index.group_starts.tolist() == [0, 1, 3]
    assert index.labels.tolist() == [6, 4, 5]
    assert index.row_starts.tolist() == [0, 1, 2, 4]
    assert index.ids.tolist() == [4, 3, 0, 1]


def test_one_row_of_each_hash_and_label_is_kept() -> None:
    kept = keep_least_ids(rows((7, 1, 5), (2, 4, 6), (7, 3, 4), (7, 0, 5)))
    assert [column.tolist() for column in kept] == [[2, 7, 7], [4, 3, 0], [6, 4, 5]]


def test_only_rows_with_the_same_key_are_compared() -> None:
    high, low = 1 << 63, 1
    splits = {0: rows((0, 10, 0)), 1: rows((high, 20, 0), (low, 21, 0))}
    assert search(splits, 1) == [(20, 10, 2), (21, 10, 2)]
    assert search(splits, 1, key_bits=1) == [(21, 10, 2)]
    assert search(splits, 0) == []
    assert search({0: splits[0], 1: rows((0, 22, 1))}, 0, key_bits=64) == [(22, 10, 1)]


def test_pairs_that_share_an_earlier_key_are_left_to_its_search() -> None:
    splits = {0: rows((0, 10, 0)), 1: rows((0b01, 20, 0), (0b10, 21, 0), (0b11, 22, 0))}
    assert search(splits, 2, earlier=np.array([0b10], np.uint64)) == [(21, 10, 2), (22, 10, 4)]
    assert search(splits, 2, earlier=np.array([0b10, 0b01], np.uint64)) == [(22, 10, 4)]


def test_count_bits() -> None:
    assert count_bits(np.array([0, 1, 2**64 - 1, 0xF0], np.uint64)).tolist() == [0, 1, 64, 4]


@pytest.mark.parametrize("labels", [1, 300, 100_000])
def test_100_000_equal_hashes_take_seconds(labels: int) -> None:
    splits = {split: numbered(np.zeros(100_000, np.uint64), labels) for split in range(3)}
    started = time.perf_counter()
    found = list(find_nearest(splits, 0, NO_KEYS, 4))
    assert time.perf_counter() - started < 10
    assert sum(len(part.ids) for part in found) == 200_000
    assert all((part.ranks == 0).all() for part in found)
    assert all((part.near_ids == part.ids % labels).all() for part in found)


def test_memory_is_bounded_if_all_hashes_share_a_key() -> None:
    # None is near another: 1.6e7 pairs.
    high = np.unique(np.random.default_rng(0).integers(0, 2**32, 8000, dtype=np.uint64))
    high <<= np.uint64(32)
    splits = {0: numbered(high[::2]), 1: numbered(high[1::2])}
    tracemalloc.start()
    list(find_nearest(splits, 0, NO_KEYS, 2))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20e6


def test_memory_is_bounded_if_all_pairs_are_near() -> None:
    high = np.arange(4000, dtype=np.uint64)
    splits = {0: numbered(high), 1: numbered(high + np.uint64(4000), 7)}
    tracemalloc.start()
    found = list(find_nearest(splits, 0, NO_KEYS, 20))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(len(part.ids) for part in found) == 4000
    assert peak_bytes < 30e6


def test_chunks_do_not_change_the_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = np.array([5, 2, 7, 0]), np.array([8, 2, 8, 4])
    for size in (1, 3, 100):
        monkeypatch.setattr(hash_search, "_CHUNK_PAIRS", size)
        pairs = [
            pair
            for chunk in hash_search._iter_ranges(first, last)
            for pair in zip(*(column.tolist() for column in chunk))
        ]
        assert pairs == [(0, 5), (0, 6), (0, 7), (2, 7), (3, 0), (3, 1), (3, 2), (3, 3)]
