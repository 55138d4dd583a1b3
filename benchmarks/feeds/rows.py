"""What a feeder is given and what it gives, and the rows of a dataset as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from halftone.dataset import manifest, schema
from halftone.dataset.manifest import ShardFile
from halftone.dataset.splits import TRAIN

BATCH = 64
SEED = 7

# Makes the pass of a number (from 1) over all rows, and returns how many rows were delivered.
Pass = Callable[[int], int]


class Task(NamedTuple):
    """What a feeder feeds from."""

    dataset: str
    records: str  # a folder of the same rows as TFRecord files, a file a shard
    num_shards: int  # the first ones; more than there are: all

    def shape(self) -> tuple[int, int, int]:
        return manifest.read_manifest(self.dataset).shape()

    def shards(self) -> list[ShardFile]:
        return manifest.read_manifest(self.dataset).shards(TRAIN)[: self.num_shards]


def drained(batches: Iterable[Sequence[Any]]) -> int:
    """Take all batches of NumPy arrays, and return the number of their rows."""
    return sum(len(batch[1]) for batch in batches)


def by_shard(task: Task) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read with pyarrow, and copy nothing: (rows, *shape) uint8 and (rows,) int32 a shard."""
    shape = task.shape()
    for shard in task.shards():
        path = Path(task.dataset) / shard.path
        table = pq.ParquetFile(path).read([schema.IMAGE, schema.LABEL_ID])
        _, offsets, data = table[schema.IMAGE].chunk(0).buffers()
        ends = np.frombuffer(offsets, np.int32, table.num_rows + 1)
        pixels = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
        yield pixels.reshape(-1, *shape), table[schema.LABEL_ID].to_numpy()


def whole(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Read all rows: (rows, *shape) uint8 and (rows,) int32."""
    pixels, label_ids = zip(*by_shard(task))
    return np.concatenate(pixels), np.concatenate(label_ids)
