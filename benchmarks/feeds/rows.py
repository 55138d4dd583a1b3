"""The interface of the feeds, and the rows of a dataset as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from halftone.config import PixelSpec
from halftone.dataset import manifest, schema
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import TRAIN

BATCH = 64
SEED = 7

# Makes a pass over all rows, given its number (from 1), and returns the number of delivered rows.
Pass = Callable[[int], int]


class Task(NamedTuple):
    """The rows that a feed reads."""

    dataset: str
    records: str  # folder of the same rows as TFRecord files, one per shard
    num_shards: int  # only the first ones; all if there are fewer

    def pixels(self) -> PixelSpec:
        return manifest.read_manifest(self.dataset).pixels

    def shape(self) -> tuple[int, int, int]:
        return self.pixels().shape

    def shards(self) -> list[ShardFile]:
        data = manifest.read_manifest(self.dataset)
        return manifest.read_shards(self.dataset, data, TRAIN)[: self.num_shards]


def consume_arrays(batches: Iterable[Sequence[Any]]) -> int:
    """Consume all batches of NumPy arrays; return their number of rows."""
    return sum(len(batch[1]) for batch in batches)


def read_shards(task: Task) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read each shard with pyarrow, without a copy: (rows, *shape) uint8 and (rows,) int32."""
    shape = task.shape()
    for shard in task.shards():
        path = Path(task.dataset) / shard.path
        table = pq.ParquetFile(path).read([schema.IMAGE, schema.LABEL_ID])
        _, offsets, data = table[schema.IMAGE].chunk(0).buffers()
        ends = np.frombuffer(offsets, np.int32, table.num_rows + 1)
        pixels = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
        yield pixels.reshape(-1, *shape), table[schema.LABEL_ID].to_numpy()


def read_all(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Read all rows: (rows, *shape) uint8 and (rows,) int32."""
    pixels, label_ids = zip(*read_shards(task))
    return np.concatenate(pixels), np.concatenate(label_ids)
