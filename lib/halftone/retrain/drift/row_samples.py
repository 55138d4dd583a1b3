"""Samples of the rows of a dataset, of bounded size and from a bounded number of shards.

The order of rows in a shard is random, so the first rows of some shards are a random sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MAX_ROWS = 2000
_MAX_SHARDS = 64  # each is read as a whole


class RowSample(NamedTuple):
    """Rows of one shard."""

    url: str
    rows: list[int]  # numbers, from 0


def max_rows_per_shard(num_shards: int) -> int:
    """Return how many rows of each shard `limit_samples` can use.

    All shards together have at most _MAX_SHARDS * MAX_ROWS of them, or one each.
    """
    return max(1, _MAX_SHARDS * MAX_ROWS // max(_MAX_SHARDS, num_shards))


def limit_samples(samples: Sequence[RowSample]) -> list[RowSample]:
    """Return at most MAX_ROWS rows of at most _MAX_SHARDS shards, which are spread evenly.

    A shard contributes as many rows as any other, or all that it has.
    """
    filled = [sample for sample in samples if sample.rows]
    step = max(1.0, len(filled) / _MAX_SHARDS)
    chosen = [filled[int(number * step)] for number in range(min(len(filled), _MAX_SHARDS))]
    limited: list[RowSample] = []
    num_left = MAX_ROWS
    # Those with few rows first, so that the others take over what these lack.
    for number, sample in enumerate(sorted(chosen, key=lambda sample: len(sample.rows))):
        rows = sample.rows[: -(-num_left // (len(chosen) - number))]
        num_left -= len(rows)
        limited.append(RowSample(sample.url, rows))
    return sorted(limited)
