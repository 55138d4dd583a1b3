"""Rows of a later split that look like a row of an earlier one: what a test score must not count.

Two pictures look alike where their 64-bit hashes (see images/perceptual.py) differ in few bits.
The search is exact and compares only what can be near. 64 bits are cut into `distance + 1` bands:
two hashes that differ in `distance` bits or fewer are equal in one band at least, so it is enough
to compare those that share a band (multi-index hashing: M. Norouzi, A. Punjani, D. J. Fleet, "Fast
Search in Hamming Space with Multi-Index Hashing", CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Hashes = npt.NDArray[np.uint64]
_Numbers = npt.NDArray[np.int64]

_BITS = 64
_CHUNK_PAIRS = 1 << 17  # compared at once: few enough that their arrays stay in the CPU's cache
_NO_MATCH = np.iinfo(np.int64).max

_ODD_BITS = np.uint64(0x5555555555555555)
_PAIRS_OF_BITS = np.uint64(0x3333333333333333)
_FOURS_OF_BITS = np.uint64(0x0F0F0F0F0F0F0F0F)
_ONE_A_BYTE = np.uint64(0x0101010101010101)


class HashMatches(NamedTuple):
    """One entry for each row that has a near duplicate in an earlier split, by ascending row."""

    row: _Numbers  # (m,) int64
    other_row: _Numbers  # (m,) int64, the nearest row of an earlier split; of several, the first
    distance: _Numbers  # (m,) int64, bits in which their hashes differ


def match_hashes(
    hashes: _Hashes, split_ids: npt.NDArray[np.int8], max_distance: int
) -> HashMatches:
    """Find each row with a row of an earlier split at `distance` bits or fewer, and the nearest.

    Args:
        hashes: (n,) uint64.
        sides: (n,) int8, the row's split; a smaller number is an earlier split (train is first).
        distance: 0 to 63.

    Near rows within one split are of no interest. A row is compared with all rows of all earlier
    splits, those among them too that are reported themselves.

    1,000,000 random hashes, 80 % of them in the first split, take 3.4 s and 60 MB at distance 4 and
    28 s at distance 6, on one core. Time grows with the square of the unique hashes, memory with
    their number. From a distance of 15 on, comparing all with all would be no more work.

    Raises:
        ValueError: shapes or types that do not fit, or a distance out of its range.
    """
    _check(hashes, split_ids, max_distance)
    found = [
        _match_split(hashes, split_ids, side, max_distance) for side in np.unique(split_ids)[1:]
    ]
    if not found:
        return HashMatches(*(np.empty(0, np.int64) for _ in range(3)))
    row, other, apart = (np.concatenate(parts) for parts in zip(*found))
    order = np.argsort(row)
    return HashMatches(row[order], other[order], apart[order])


def _check(hashes: _Hashes, sides: npt.NDArray[np.int8], distance: int) -> None:
    if hashes.ndim != 1 or hashes.shape != sides.shape:
        raise ValueError(f"hashes {hashes.shape} and sides {sides.shape}; both must be (n,)")
    if hashes.dtype != np.uint64 or sides.dtype != np.int8:
        raise ValueError(f"hashes {hashes.dtype}, sides {sides.dtype}; must be uint64 and int8")
    if not 0 <= distance < _BITS:
        raise ValueError(f"distance is {distance}; it must be 0 to {_BITS - 1}")


def _match_split(
    hashes: _Hashes, sides: npt.NDArray[np.int8], side: np.int8, distance: int
) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Return row, other and distance of the rows of one split, not sorted."""
    rows, earlier = np.flatnonzero(sides == side), np.flatnonzero(sides < side)
    # Equal hashes stand for one another, or 100,000 black pictures would make 10**10 pairs.
    queries, query_of_row = np.unique(hashes[rows], return_inverse=True)
    targets, first = np.unique(hashes[earlier], return_index=True)
    # Distance and row in one number: the least is the nearest and, of several, the first.
    best = _nearest_targets(queries, targets, earlier[first], distance, len(hashes))[query_of_row]
    near = best != _NO_MATCH
    apart, other = np.divmod(best[near], len(hashes))
    return rows[near], other, apart


def _nearest_targets(
    queries: _Hashes, targets: _Hashes, target_rows: _Numbers, distance: int, num_rows: int
) -> _Numbers:
    """Return (queries,) int64: bits apart * num_rows + row of the best target, or _NONE.

    Queries and targets are ascending, none twice.
    """
    best = np.full(len(queries), _NO_MATCH)
    _, same_query, same_target = np.intersect1d(
        queries, targets, assume_unique=True, return_indices=True
    )
    best[same_query] = target_rows[same_target]
    # Nothing is nearer than an equal hash, so only the rest is searched.
    rest = np.flatnonzero(best == _NO_MATCH)
    hashes = queries[rest]
    for mask in _band_masks(distance + 1) if distance else []:
        for query, target in _equal_pairs(hashes & mask, targets & mask):
            apart = _count_bits(hashes[query] ^ targets[target])
            near = np.flatnonzero(apart <= distance)
            value = apart[near] * num_rows + target_rows[target[near]]
            np.minimum.at(best, rest[query[near]], value)
    return best


def _band_masks(number: int) -> list[np.uint64]:
    """Cut the 64 bits into masks of nearly equal size, each of bits from all over the picture.

    Neighbouring bits of a picture's hash are often equal. A band of them would take few values,
    and each would be shared by many.
    """
    return [
        np.uint64(sum(1 << bit for bit in range(first, _BITS, number))) for first in range(number)
    ]


def _equal_pairs(queries: _Hashes, targets: _Hashes) -> Iterator[tuple[_Numbers, _Numbers]]:
    """Yield every (query, target) whose values are equal, as index arrays of _CHUNK_PAIRS or less.

    Never all at once: where one value is shared by many, the pairs are more than memory holds.
    """
    order = np.argsort(targets)
    targets = targets[order]
    start = np.searchsorted(targets, queries, "left")
    ends = np.cumsum(np.searchsorted(targets, queries, "right") - start)  # of each query's pairs
    begins = np.concatenate([[0], ends[:-1]])
    total = int(ends[-1]) if len(ends) else 0
    for low in range(0, total, _CHUNK_PAIRS):
        high = min(low + _CHUNK_PAIRS, total)
        first, last = np.searchsorted(ends, [low, high - 1], "right")
        here = np.arange(first, last + 1)
        counts = np.minimum(ends[here], high) - np.maximum(begins[here], low)
        query = np.repeat(here, counts)
        place = np.arange(low, high) - begins[query]  # of the pair among those of its query
        yield query, order[start[query] + place]


def _count_bits(values: _Hashes) -> _Numbers:
    """Count the ones of each value, which is overwritten: sums of 2, 4 and 8 bits side by side."""
    values -= (values >> np.uint64(1)) & _ODD_BITS
    values = (values & _PAIRS_OF_BITS) + ((values >> np.uint64(2)) & _PAIRS_OF_BITS)
    values = (values + (values >> np.uint64(4))) & _FOURS_OF_BITS
    # The multiplication adds all bytes up in the highest one.
    return ((values * _ONE_A_BYTE) >> np.uint64(56)).astype(np.int64)
