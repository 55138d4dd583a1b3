"""Find rows whose perceptual hash is near to that of a row of an earlier split.

Such rows make a test score too good, as the model was trained on nearly the same image.

Two images look alike if their 64-bit hashes (see images/perceptual.py) differ in few bits. The
search is exact, but compares few pairs. The 64 bits are divided into `distance + 1` bands. Two
hashes that differ in at most `distance` bits are equal in at least one band, so only hashes that
share a band are compared (multi-index hashing: M. Norouzi, A. Punjani, D. J. Fleet, "Fast Search in
Hamming Space with Multi-Index Hashing", CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Hashes = npt.NDArray[np.uint64]
_Numbers = npt.NDArray[np.int64]

_BITS = 64
_CHUNK_PAIRS = 1 << 17  # compared at once; their arrays fit into the CPU cache
_SAMPLE_PAIRS = 200_000  # of measure_chance
_NO_MATCH = np.iinfo(np.int64).max

# Masks of the bit count, see _count_bits.
_ODD_BITS = np.uint64(0x5555555555555555)
_BIT_PAIRS = np.uint64(0x3333333333333333)
_BIT_QUADS = np.uint64(0x0F0F0F0F0F0F0F0F)
_LOW_BIT_OF_BYTES = np.uint64(0x0101010101010101)


class HashMatches(NamedTuple):
    """The rows that have a near duplicate in an earlier split, in ascending order."""

    row: _Numbers  # (m,) int64
    other_row: _Numbers  # (m,) int64, the nearest row of an earlier split; the first of several
    distance: _Numbers  # (m,) int64, number of bits in which the two hashes differ


def match_hashes(
    hashes: _Hashes, split_ids: npt.NDArray[np.int8], max_distance: int
) -> HashMatches:
    """Find all rows within `max_distance` bits of a row of an earlier split, and the nearest one.

    Rows of the same split are not compared. Each row is compared with all rows of all earlier
    splits, also with those that are reported themselves.

    1,000,000 random hashes, 80 % of them in the first split, take 3.4 s and 60 MB at distance 4 and
    28 s at distance 6, on one core. Time grows with the square of the number of unique hashes,
    memory linearly. From a distance of 15 on, comparing all pairs would be no slower.

    Args:
        hashes: (n,) uint64.
        split_ids: (n,) int8, a smaller number is an earlier split (train is first).
        max_distance: 0 to 63.

    Raises:
        ValueError: shapes or types that do not fit, or `max_distance` is out of range.
    """
    _check_arguments(hashes, split_ids, max_distance)
    matches = [
        _match_split(hashes, split_ids, split_id, max_distance)
        for split_id in np.unique(split_ids)[1:]
    ]
    if not matches:
        return HashMatches(*(np.empty(0, np.int64) for _ in range(3)))
    row, other_row, distance = (np.concatenate(arrays) for arrays in zip(*matches))
    order = np.argsort(row)
    return HashMatches(row[order], other_row[order], distance[order])


def match_labelled_hashes(
    hashes: _Hashes,
    split_ids: npt.NDArray[np.int8],
    label_ids: npt.NDArray[np.int32],
    max_distance: int,
) -> HashMatches:
    """Like `match_hashes`, but of several nearest rows one with the same label is returned.

    Args:
        label_ids: (n,) int32.
    """
    matches = match_hashes(hashes, split_ids, max_distance)
    is_other = label_ids[matches.row] != label_ids[matches.other_row]
    for label_id in np.unique(label_ids[matches.row[is_other]]):
        rows = np.flatnonzero(label_ids == label_id)
        of_label = match_hashes(hashes[rows], split_ids[rows], max_distance)
        index = np.searchsorted(matches.row, rows[of_label.row])
        same = of_label.distance == matches.distance[index]
        matches.other_row[index[same]] = rows[of_label.other_row[same]]
    return matches


def measure_chance(hashes: _Hashes, label_ids: npt.NDArray[np.int32], max_distance: int) -> float:
    """Return the fraction of random pairs of rows with different labels within `max_distance`.

    Such rows show different things, so the fraction tells how often a match means nothing. The
    pairs are the same in each call.
    """
    if not len(hashes):
        return 0.0
    first, second = np.random.default_rng(0).integers(0, len(hashes), (2, _SAMPLE_PAIRS))
    is_pair = label_ids[first] != label_ids[second]
    distance = _count_bits(hashes[first[is_pair]] ^ hashes[second[is_pair]])
    return float((distance <= max_distance).mean()) if len(distance) else 0.0


def _check_arguments(hashes: _Hashes, split_ids: npt.NDArray[np.int8], max_distance: int) -> None:
    if hashes.ndim != 1 or hashes.shape != split_ids.shape:
        raise ValueError(
            f"hashes have shape {hashes.shape}, split_ids {split_ids.shape}; both must be (n,)"
        )
    if hashes.dtype != np.uint64 or split_ids.dtype != np.int8:
        raise ValueError(
            f"hashes are {hashes.dtype}, split_ids {split_ids.dtype}; must be uint64 and int8"
        )
    if not 0 <= max_distance < _BITS:
        raise ValueError(f"max_distance is {max_distance}; it must be 0 to {_BITS - 1}")


def _match_split(
    hashes: _Hashes, split_ids: npt.NDArray[np.int8], split_id: np.int8, max_distance: int
) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Return row, other row and distance of the matches of one split, not sorted."""
    rows, earlier_rows = np.flatnonzero(split_ids == split_id), np.flatnonzero(split_ids < split_id)
    # Search unique hashes only: 100,000 black images would make 10**10 pairs.
    queries, query_of_row = np.unique(hashes[rows], return_inverse=True)
    targets, first = np.unique(hashes[earlier_rows], return_index=True)
    # best = distance * len(hashes) + row, so the minimum is the nearest row, the first of several.
    best = _nearest_targets(queries, targets, earlier_rows[first], max_distance, len(hashes))
    best = best[query_of_row]
    is_near = best != _NO_MATCH
    distance, other_row = np.divmod(best[is_near], len(hashes))
    return rows[is_near], other_row, distance


def _nearest_targets(
    queries: _Hashes, targets: _Hashes, target_rows: _Numbers, max_distance: int, num_rows: int
) -> _Numbers:
    """Return (queries,) int64: distance * num_rows + row of the nearest target, or _NO_MATCH.

    Args:
        queries: unique and ascending.
        targets: unique and ascending.
    """
    best = np.full(len(queries), _NO_MATCH)
    _, same_query, same_target = np.intersect1d(
        queries, targets, assume_unique=True, return_indices=True
    )
    best[same_query] = target_rows[same_target]
    # An equal hash is the nearest possible, so only the other queries are searched.
    unmatched = np.flatnonzero(best == _NO_MATCH)
    hashes = queries[unmatched]
    for mask in _band_masks(max_distance + 1) if max_distance else []:
        for query, target in _equal_pairs(hashes & mask, targets & mask):
            distance = _count_bits(hashes[query] ^ targets[target])
            near = np.flatnonzero(distance <= max_distance)
            candidate = distance[near] * num_rows + target_rows[target[near]]
            np.minimum.at(best, unmatched[query[near]], candidate)
    return best


def _band_masks(num_bands: int) -> list[np.uint64]:
    """Return the masks of bands of nearly equal size, each with bits from the whole image.

    Neighbouring bits of an image's hash are often equal. A band of neighbouring bits would have few
    different values, each shared by many hashes.
    """
    return [
        np.uint64(sum(1 << bit for bit in range(first, _BITS, num_bands)))
        for first in range(num_bands)
    ]


def _equal_pairs(queries: _Hashes, targets: _Hashes) -> Iterator[tuple[_Numbers, _Numbers]]:
    """Yield the indices of all (query, target) with equal values, _CHUNK_PAIRS or fewer at a time.

    If many hashes share one value, all pairs together would not fit into memory.
    """
    order = np.argsort(targets)
    targets = targets[order]
    first_target = np.searchsorted(targets, queries, "left")
    # The pairs of a query have the numbers starts[query] to ends[query] - 1.
    ends = np.cumsum(np.searchsorted(targets, queries, "right") - first_target)
    starts = np.concatenate([[0], ends[:-1]])
    num_pairs = int(ends[-1]) if len(ends) else 0
    for low in range(0, num_pairs, _CHUNK_PAIRS):
        high = min(low + _CHUNK_PAIRS, num_pairs)
        first, last = np.searchsorted(ends, [low, high - 1], "right")
        chunk_queries = np.arange(first, last + 1)
        counts = np.minimum(ends[chunk_queries], high) - np.maximum(starts[chunk_queries], low)
        query = np.repeat(chunk_queries, counts)
        offset = np.arange(low, high) - starts[query]  # index among the pairs of the query
        yield query, order[first_target[query] + offset]


def _count_bits(values: _Hashes) -> _Numbers:
    """Count the set bits of each value in sums of 2, 4 and 8 bits; overwrites `values`."""
    values -= (values >> np.uint64(1)) & _ODD_BITS
    values = (values & _BIT_PAIRS) + ((values >> np.uint64(2)) & _BIT_PAIRS)
    values = (values + (values >> np.uint64(4))) & _BIT_QUADS
    # The multiplication adds up all bytes in the highest byte.
    return ((values * _LOW_BIT_OF_BYTES) >> np.uint64(56)).astype(np.int64)
