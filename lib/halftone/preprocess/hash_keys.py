"""Keys that near hashes share, so that only hashes with an equal key are compared.

The 64 bits of a hash are divided into `distance + k` bands. Two hashes that differ in at most
`distance` bits differ in at most so many bands, so they are equal in at least k. A key consists of
the bits of k bands, and there is one for each choice of k bands: near hashes share at least one
(multi-index hashing: M. Norouzi, A. Punjani, D. J. Fleet, "Fast Search in Hamming Space with
Multi-Index Hashing", CVPR 2012, with k = 1).

With a larger k there are more keys, so each hash is sorted more often, but a key has more bits, so
fewer hashes share it. At a distance of 4 there are 5 keys of 12 or 13 bits for k = 1, and 15 keys
of 20 to 22 bits for k = 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

BITS = 64
_MAX_EQUAL_BANDS = 2
_MAX_ALL_PAIRS_ROWS = 1 << 15  # of one key without bits, whose work is one task
# Costs in comparisons of two hashes (10 ns). To send and sort a hash for one key takes 0.5 us.
_ROW_COST = 50
_TASK_COST = 2_000_000 * _ROW_COST  # a task gets 50 MB of hashes, ids and labels
_MAX_PARTITIONS = 4096


class SearchPlan(NamedTuple):
    """How a search is divided into units: the rows whose value of a key is in one range."""

    max_distance: int
    key_masks: tuple[int, ...]  # the bits of each key
    num_ranges: int  # of the values of each key
    num_partitions: int

    @property
    def num_units(self) -> int:
        return len(self.key_masks) * self.num_ranges

    def find_partition(self, unit: int) -> int:
        """Return the partition, from 0, that has a unit: number of key * num_ranges + range."""
        return unit * self.num_partitions // self.num_units


def plan_search(num_rows: int, max_distance: int) -> SearchPlan:
    """Choose the keys that need the least work, and tasks of bounded size.

    Args:
        num_rows: of all splits; the result of the search does not depend on it.
        max_distance: 0 to 63.

    Raises:
        ValueError: `max_distance` is out of range.
    """
    if not 0 <= max_distance < BITS:
        raise ValueError(f"max_distance is {max_distance}; it must be 0 to {BITS - 1}")
    least = 0 if num_rows <= _MAX_ALL_PAIRS_ROWS else 1
    most = min(_MAX_EQUAL_BANDS, BITS - max_distance)
    choices = [key_masks(max_distance, equal) for equal in range(least, most + 1)]
    masks = min(choices, key=lambda masks: _estimate_cost(masks, num_rows))
    wanted = -(-_estimate_cost(masks, num_rows) // _TASK_COST)
    wanted = max(1, min(wanted, _MAX_PARTITIONS))
    num_ranges = min(-(-wanted // len(masks)), 1 << min(map(count_mask_bits, masks)))
    num_partitions = len(masks) * num_ranges if num_ranges > 1 else min(wanted, len(masks))
    return SearchPlan(max_distance, tuple(masks), num_ranges, num_partitions)


def _estimate_cost(masks: Sequence[int], num_rows: int) -> int:
    """Return the work of a search.

    Of evenly distributed hashes in splits of 80, 10 and 10 %, a third of these pairs would be
    compared. But hashes of images are not evenly distributed.
    """
    pairs = sum(num_rows**2 // 2 >> count_mask_bits(mask) for mask in masks)
    return len(masks) * num_rows * _ROW_COST + pairs


def count_mask_bits(mask: int) -> int:
    return bin(mask).count("1")


def key_masks(max_distance: int, num_equal: int) -> list[int]:
    """Return the bits of each key of `num_equal` of `max_distance + num_equal` bands.

    Near hashes are equal in the bits of at least one key. With `num_equal` 0, there is one key
    without bits, which all hashes share.

    Each band has bits from the whole image. Neighbouring bits of an image's hash are often equal: a
    band of neighbouring bits would have few different values, each shared by many hashes.
    """
    num_bands = max_distance + num_equal
    bands = [sum(1 << bit for bit in range(first, BITS, num_bands)) for first in range(num_bands)]
    return [sum(chosen) for chosen in combinations(bands, num_equal)]


class BitOrder:
    """Moves the bits of hashes, those of a key to the highest bits.

    Hashes in ascending order are then also ordered by key. The number of bits in which two hashes
    differ stays the same.
    """

    def __init__(self, key_mask: int) -> None:
        bits = sorted(range(BITS), key=lambda bit: (key_mask >> bit & 1, bit))
        values = np.arange(256, dtype=np.uint64)
        # (8, 256): what each value of each byte of a hash becomes, the lowest byte first.
        self._tables = np.zeros((8, 256), np.uint64)
        for place, bit in enumerate(bits):
            is_set = values >> np.uint64(bit % 8) & np.uint64(1)
            self._tables[bit // 8] |= is_set << np.uint64(place)

    def move_bits(self, hashes: Hashes) -> Hashes:
        """Return the moved hashes, (n,) uint64."""
        moved = np.zeros(len(hashes), np.uint64)
        hash_bytes = hashes.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
        for number, table in enumerate(self._tables):
            moved |= table[hash_bytes[:, number]]
        return moved
