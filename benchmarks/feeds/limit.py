"""The practical limits: rows as NumPy arrays, permuted and cut into batches, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from feeds.rows import BATCH, SEED, Pass, Task, by_shard, drained, whole

Batch = tuple[np.ndarray, np.ndarray]


def streamed(task: Task) -> Pass:
    """Read the Parquet files with pyarrow in each pass, and permute the rows of each."""

    def batches(number: int) -> Iterator[Batch]:
        rng = np.random.default_rng([SEED, number])
        for pixels, label_ids in by_shard(task):
            yield from _batches(pixels, label_ids, rng)

    return lambda number: drained(batches(number))


def kept(task: Task) -> Pass:
    """Permute what is in memory already."""
    pixels, label_ids = whole(task)
    return lambda number: drained(
        _batches(pixels, label_ids, np.random.default_rng([SEED, number]))
    )


def _batches(
    pixels: np.ndarray, label_ids: np.ndarray, rng: np.random.Generator
) -> Iterator[Batch]:
    order = rng.permutation(len(label_ids))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        yield pixels[rows], label_ids[rows]
