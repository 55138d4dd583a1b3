"""Mean and deviation of pixels, by channel, from exact sums that shards keep of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 2**20  # summed up at once, so that it stays in the cache
_BLOCK_ROWS = 2**16  # so many squares of 255 still fit into 32 bits


class PixelStatistics(NamedTuple):
    """By channel, in grey levels 0..255."""

    mean: list[float]
    deviation: list[float]  # of the population; 1 for a channel of a single grey level


def channel_sums(
    rows: npt.NDArray[np.uint8], channels: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sum up the pixels, and their squares, by channel.

    Args:
        rows: an image each, (N, height x width x channels).
    """
    totals = np.zeros((2, rows.shape[1]), np.uint64)
    step = max(1, min(_BLOCK_BYTES // rows.shape[1], _BLOCK_ROWS))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        totals[0] += block.sum(axis=0, dtype=np.uint32)
        totals[1] += np.multiply(block, block, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
    own, squares = totals.reshape(2, -1, channels).sum(axis=1).tolist()
    return tuple(own), tuple(squares)


def statistics_from_sums(
    num_pixels: int, shard_sums: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> PixelStatistics:
    """Put together what `sums` gave for each shard; `pixels` are counted once for all channels."""
    totals, squares = ([sum(channel) for channel in zip(*own)] for own in zip(*shard_sums))
    # Whole numbers until the division: a difference of means would lose digits.
    variances = [(num_pixels * b - a * a) / num_pixels**2 for a, b in zip(totals, squares)]
    return PixelStatistics(
        [total / num_pixels for total in totals],
        [math.sqrt(variance) or 1.0 for variance in variances],
    )
