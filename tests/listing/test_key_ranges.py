from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halftone.listing.key_ranges import KeyRange, find_key_ranges


class Store:
    """A list of keys that is read a page at a time."""

    def __init__(self, keys: Sequence[str], max_page_keys: int = 1000) -> None:
        self.keys = sorted(keys)
        self.max_page_keys = max_page_keys
        self.num_pages = self.num_single_keys = 0

    def list_page(self, start_after: str, max_keys: int) -> tuple[list[str], bool]:
        self.num_single_keys += max_keys == 1
        self.num_pages += max_keys > 1
        start = bisect_right(self.keys, start_after) if start_after else 0
        end = start + min(max_keys, self.max_page_keys)
        return self.keys[start:end], end < len(self.keys)

    def count_keys(self, ranges: Sequence[KeyRange]) -> list[int]:
        """Count the keys in each range; check that the ranges follow one another."""
        assert ranges[0].start_after == ranges[-1].end == ""
        assert [found.end for found in ranges[:-1]] == [found.start_after for found in ranges[1:]]
        ends = [bisect_right(self.keys, found.end) for found in ranges[:-1]]
        ends = [0, *ends, len(self.keys)]
        assert ends == sorted(ends)
        return [high - low for low, high in zip(ends, ends[1:])]


def numbered(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number:09d}.jpg" for number in range(count)]


@pytest.mark.parametrize(("count", "num_requests"), [(0, 1), (1, 1), (1000, 1), (8000, 8)])
def test_few_keys_are_one_range_found_by_few_requests(count: int, num_requests: int) -> None:
    store = Store(numbered("cat", count))
    assert find_key_ranges(store.list_page) == [KeyRange("", "")]
    assert (store.num_pages, store.num_single_keys) == (num_requests, 0)


@pytest.mark.parametrize(
    ("keys", "num_ranges", "max_keys", "max_requests"),
    [
        (numbered("images/cat", 8001), 3, 3000, 160),
        (numbered("images/cat", 100_000), 100, 1001, 300),
        ([key for n in range(100) for key in numbered(f"n{n:08d}", 1000)], 100, 1001, 400),
        (numbered("a", 99_000) + numbered("b", 10) + numbered("c", 900), 100, 1001, 300),
        ([f"{n}/{key}" for n in range(40) for key in numbered("x", 2500)], 54, 2500, 200),
        ([f"{n * 2654435761 % 2**32:08x}.jpg" for n in range(60_000)], 16, 3752, 400),
    ],
    ids=["few", "one folder", "many folders", "one large folder", "nested", "hashes"],
)
def test_many_keys_are_divided_evenly(
    keys: list[str], num_ranges: int, max_keys: int, max_requests: int
) -> None:
    store = Store(keys)
    ranges = find_key_ranges(store.list_page)
    counts = store.count_keys(ranges)
    assert len(ranges) == num_ranges
    assert sum(counts) == len(keys)
    assert max(counts) <= max_keys
    assert store.num_pages + store.num_single_keys <= max_requests


KEYS = st.text(
    st.sampled_from("ab/.%~\x7f\ud7ff\ue000\U0010fffe\U0010ffff é日\0"), min_size=0, max_size=6
)


@given(st.sets(KEYS, max_size=60), st.integers(1, 4))
@example({"", "a", "a\U0010ffff", "\U0010ffff", "\U0010ffff\U0010ffff"}, 1)
@example({"ab", "aba", "abb", "ac", "b", "ba"}, 2)
def test_every_key_is_in_one_range(keys: set[str], page_keys: int) -> None:
    store = Store(sorted(keys), page_keys)
    ranges = find_key_ranges(store.list_page, page_keys)
    assert sum(store.count_keys(ranges)) == len(keys)
    assert len(ranges) <= 128


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"])), max_size=200))
def test_every_key_of_any_characters_is_in_one_range(keys: set[str]) -> None:
    store = Store(sorted(keys), 7)
    ranges = find_key_ranges(store.list_page, 7)
    assert sum(store.count_keys(ranges)) == len(keys)
