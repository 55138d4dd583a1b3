"""Compare hashes that share a key, and keep the nearest one of an earlier split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from halftone.preprocess.hash_keys import BITS, Hashes

Numbers = npt.NDArray[np.int64]

_CHUNK_PAIRS = 1 << 17  # compared at once; their arrays fit into the CPU cache
_NO_MATCH = np.iinfo(np.int64).max

# Masks of the bit count, see count_bits.
_ODD_BITS = np.uint64(0x5555555555555555)
_BIT_PAIRS = np.uint64(0x3333333333333333)
_BIT_QUADS = np.uint64(0x0F0F0F0F0F0F0F0F)
_LOW_BIT_OF_BYTES = np.uint64(0x0101010101010101)


class HashRows(NamedTuple):
    """Rows of one split, in any order."""

    hashes: Hashes  # (n,) uint64
    ids: Numbers  # (n,) int64
    labels: Numbers  # (n,) int64


class HashIndex(NamedTuple):
    """Rows of one split in ascending order of hash, label and id.

    Rows with the same hash and label are a group. 100,000 black images are one or a few groups.
    """

    hashes: Hashes  # (h,) uint64, unique
    least_ids: Numbers  # (h,) int64, of the rows with that hash
    group_starts: Numbers  # (h + 1,) int64, the first group of each hash
    labels: Numbers  # (g,) int64, of each group
    row_starts: Numbers  # (g + 1,) int64, the first row of each group, that with its least id
    ids: Numbers  # (n,) int64


class Nearest(NamedTuple):
    """Rows that have a near row of an earlier split."""

    ids: Numbers  # (m,) int64
    near_ids: Numbers  # (m,) int64
    ranks: Numbers  # (m,) int64: 2 * distance, and 1 more if the labels differ


def index_rows(rows: HashRows) -> HashIndex:
    """Sort rows and find their groups."""
    order = np.argsort(rows.hashes)
    hashes = rows.hashes[order]
    is_new = np.ones(len(hashes), bool)
    is_new[1:] = hashes[1:] != hashes[:-1]
    _sort_equal_hashes(order, is_new, rows)
    labels, ids = rows.labels[order], rows.ids[order]
    is_group = is_new.copy()
    is_group[1:] |= labels[1:] != labels[:-1]
    first_rows, group_rows = np.flatnonzero(is_new), np.flatnonzero(is_group)
    return HashIndex(
        hashes=hashes[first_rows],
        least_ids=np.minimum.reduceat(ids, first_rows) if len(ids) else ids,
        group_starts=np.append(np.searchsorted(group_rows, first_rows), len(group_rows)),
        labels=labels[group_rows],
        row_starts=np.append(group_rows, len(ids)),
        ids=ids,
    )


def _sort_equal_hashes(order: Numbers, is_new: npt.NDArray[np.bool_], rows: HashRows) -> None:
    """Sort rows with equal hashes, which are few, by label and id."""
    is_shared = ~is_new
    is_shared[:-1] |= ~is_new[1:]
    places = np.flatnonzero(is_shared)
    shared = order[places]
    keys = (rows.ids[shared], rows.labels[shared], rows.hashes[shared])
    order[places] = shared[np.lexsort(keys)]


def keep_least_ids(rows: HashRows) -> HashRows:
    """Return one row of each hash and label, that with the least id."""
    index = index_rows(rows)
    hashes = np.repeat(index.hashes, np.diff(index.group_starts))
    return HashRows(hashes, index.ids[index.row_starts[:-1]], index.labels)


def find_nearest(
    splits: Mapping[int, HashRows], key_bits: int, earlier_keys: Hashes, max_distance: int
) -> Iterator[Nearest]:
    """Find for each row the nearest row of an earlier split that shares its key.

    Nearest means: least distance, then the same label, then the least id. Rows are left out if
    there is none within `max_distance`.

    Args:
        splits: by split, a smaller number is an earlier one.
        key_bits: number of bits of the key, which are the highest ones of each hash.
        earlier_keys: masks of other keys. Two rows that share one of them are not compared, as
            the search of that key does so.
    """
    earlier: list[HashIndex] = []
    for split in sorted(splits):
        index = index_rows(splits[split])
        search = _SplitSearch(index, max_distance, earlier_keys)
        for target in earlier:
            search.compare(target, key_bits)
        yield from search.results()
        earlier.append(index)


class _SplitSearch:
    """The rows of one split, and the nearest rows that were found so far."""

    def __init__(self, queries: HashIndex, max_distance: int, earlier_keys: Hashes) -> None:
        self._queries = queries
        self._earlier_keys = earlier_keys
        self._limits = np.full(len(queries.hashes), max_distance)  # largest distance of interest
        # Of each group.
        self._ranks = np.full(len(queries.labels), _NO_MATCH)
        self._near_ids = np.full(len(queries.labels), _NO_MATCH)

    def compare(self, targets: HashIndex, key_bits: int) -> None:
        """Compare with the rows of an earlier split."""
        low_bits = np.uint64((1 << (BITS - key_bits)) - 1)
        hashes = self._queries.hashes
        first = np.searchsorted(targets.hashes, hashes & ~low_bits, "left")
        last = np.searchsorted(targets.hashes, hashes | low_bits, "right")
        for query, target in _iter_ranges(first, last):
            difference = hashes[query] ^ targets.hashes[target]
            distance = count_bits(difference.copy())
            near = np.flatnonzero(distance <= self._limits[query])
            for key in self._earlier_keys:
                near = near[(difference[near] & key) != 0]
            query, target, distance = query[near], target[near], distance[near]
            np.minimum.at(self._limits, query, distance)
            nearest = np.flatnonzero(distance == self._limits[query])
            self._add_pairs(query[nearest], targets, target[nearest], distance[nearest])

    def _add_pairs(
        self, query: Numbers, targets: HashIndex, target: Numbers, distance: Numbers
    ) -> None:
        """Take the near rows of pairs of hashes for each group of the query's rows."""
        starts = self._queries.group_starts
        for pair, group in _iter_ranges(starts[query], starts[query + 1]):
            hash_number = target[pair]
            near_group, is_same = _find_label(targets, hash_number, self._queries.labels[group])
            same_id = targets.ids[targets.row_starts[near_group]]
            near_id = np.where(is_same, same_id, targets.least_ids[hash_number])
            self._add_rows(group, 2 * distance[pair] + ~is_same, near_id)

    def _add_rows(self, group: Numbers, rank: Numbers, near_id: Numbers) -> None:
        order = np.lexsort((near_id, rank, group))
        group, rank, near_id = group[order], rank[order], near_id[order]
        is_first = np.ones(len(group), bool)
        is_first[1:] = group[1:] != group[:-1]
        group, rank, near_id = group[is_first], rank[is_first], near_id[is_first]
        known = self._ranks[group]
        is_nearer = (rank < known) | ((rank == known) & (near_id < self._near_ids[group]))
        self._ranks[group[is_nearer]] = rank[is_nearer]
        self._near_ids[group[is_nearer]] = near_id[is_nearer]

    def results(self) -> Iterator[Nearest]:
        groups = np.flatnonzero(self._ranks != _NO_MATCH)
        starts = self._queries.row_starts
        for number, row in _iter_ranges(starts[groups], starts[groups + 1]):
            group = groups[number]
            yield Nearest(self._queries.ids[row], self._near_ids[group], self._ranks[group])


def _find_label(
    index: HashIndex, hash_number: Numbers, label: Numbers
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Find the group of each hash that has a label, by bisection.

    Returns:
        Number of a group, and whether it has the hash and the label.
    """
    low, end = index.group_starts[hash_number], index.group_starts[hash_number + 1]
    high = end
    while True:
        is_open = low < high
        if not is_open.any():
            break
        middle = (low + high) // 2
        is_less = is_open & (index.labels[np.minimum(middle, len(index.labels) - 1)] < label)
        low = np.where(is_less, middle + 1, low)
        high = np.where(is_open & ~is_less, middle, high)
    group = np.minimum(low, len(index.labels) - 1)
    return group, (low < end) & (index.labels[group] == label)


def _iter_ranges(first: Numbers, last: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield (number of the range, element) of all ranges, `_CHUNK_PAIRS` or fewer at a time.

    The elements of a range are first to last - 1. All together might not fit into memory.
    """
    filled = np.flatnonzero(last > first)
    first, last = first[filled], last[filled]
    # The elements of a range have the numbers starts[range] to ends[range] - 1.
    ends = np.cumsum(last - first)
    starts = ends - (last - first)
    num_elements = int(ends[-1]) if len(ends) else 0
    for low in range(0, num_elements, _CHUNK_PAIRS):
        high = min(low + _CHUNK_PAIRS, num_elements)
        begin, end = np.searchsorted(ends, [low, high - 1], "right")
        ranges = np.arange(begin, end + 1)
        counts = np.minimum(ends[ranges], high) - np.maximum(starts[ranges], low)
        number = np.repeat(ranges, counts)
        yield filled[number], np.arange(low, high) + (first - starts)[number]


def count_bits(values: Hashes) -> Numbers:
    """Count the set bits of each value in sums of 2, 4 and 8 bits; overwrites `values`."""
    values -= (values >> np.uint64(1)) & _ODD_BITS
    values = (values & _BIT_PAIRS) + ((values >> np.uint64(2)) & _BIT_PAIRS)
    values = (values + (values >> np.uint64(4))) & _BIT_QUADS
    # The multiplication adds up all bytes in the highest byte.
    return ((values * _LOW_BIT_OF_BYTES) >> np.uint64(56)).astype(np.int64)
