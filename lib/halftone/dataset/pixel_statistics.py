"""Compute mean and standard deviation of pixels by channel, from exact sums of each shard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 2**20  # added up at once; fits into the CPU cache
_BLOCK_ROWS = 2**16  # the sum of this many squares of 255 fits into 32 bits


class PixelStatistics(NamedTuple):
    """Statistics by channel, in grey levels 0..255."""

    mean: list[float]
    deviation: list[float]  # population standard deviation; 1 for a channel of one grey level


def channel_sums(
    rows: npt.NDArray[np.uint8], channels: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the sums of the pixels and of their squares, by channel.

    Args:
        rows: one image per row, (N, height x width x channels) uint8.
        channels: of the images.
    """
    totals = np.zeros((2, rows.shape[1]), np.uint64)
    step = max(1, min(_BLOCK_BYTES // rows.shape[1], _BLOCK_ROWS))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        totals[0] += block.sum(axis=0, dtype=np.uint32)
        totals[1] += np.multiply(block, block, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
    sums, square_sums = totals.reshape(2, -1, channels).sum(axis=1).tolist()
    return tuple(sums), tuple(square_sums)


def statistics_from_sums(
    num_pixels: int, shard_sums: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> PixelStatistics:
    """Combine the `channel_sums` of shards.

    Args:
        num_pixels: of all shards; a pixel of three channels counts once.
        shard_sums: `channel_sums` of each shard.
    """
    sums, square_sums = ([sum(channel) for channel in zip(*parts)] for parts in zip(*shard_sums))
    # Integers up to the division: a difference of means would lose digits.
    variances = [
        (num_pixels * square_sum - total * total) / num_pixels**2
        for total, square_sum in zip(sums, square_sums)
    ]
    return PixelStatistics(
        [total / num_pixels for total in sums],
        [math.sqrt(variance) or 1.0 for variance in variances],
    )
