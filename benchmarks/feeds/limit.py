"""The practical limits: rows as NumPy arrays, only permuted and sliced into batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from feeds.rows import BATCH, SEED, Pass, Task, consume_arrays, read_all, read_shards

Batch = tuple[np.ndarray, np.ndarray]


def streamed(task: Task) -> Pass:
    """Read the Parquet files with pyarrow in each pass, and permute the rows of each."""

    def batches(number: int) -> Iterator[Batch]:
        rng = np.random.default_rng([SEED, number])
        for pixels, label_ids in read_shards(task):
            yield from _slice_batches(pixels, label_ids, rng)

    return lambda number: consume_arrays(batches(number))


def cached(task: Task) -> Pass:
    """Permute rows that are already in memory."""
    pixels, label_ids = read_all(task)
    return lambda number: consume_arrays(
        _slice_batches(pixels, label_ids, np.random.default_rng([SEED, number]))
    )


def _slice_batches(
    pixels: np.ndarray, label_ids: np.ndarray, rng: np.random.Generator
) -> Iterator[Batch]:
    order = rng.permutation(len(label_ids))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        yield pixels[rows], label_ids[rows]
