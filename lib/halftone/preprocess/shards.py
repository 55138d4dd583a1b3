"""From staged parts to the dataset's shards: which rows go where (pure), and writing them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import pixel_statistics, schema
from halftone.dataset.manifest import ShardFile
from halftone.dataset.splits import SPLITS

_TARGET_BYTES = 16 * 2**20
# What a staged part and a shard have in common: all but the number of the label.
_SOURCE_SCHEMA = pa.schema([field for field in schema.ROWS if field.name != schema.LABEL_ID])


class RowSelection(NamedTuple):
    """Rows of a staged part, or of a shard that stands already, that the dataset is to hold."""

    url: str
    split: str
    row_numbers: npt.NDArray[np.int64]
    unchanged_shard: Optional[ShardFile] = None  # the shard, where all its rows are kept


class ShardSource(NamedTuple):
    url: str
    row_numbers: npt.NDArray[np.int64]


class Shard(NamedTuple):
    path: str  # below the dataset's root
    split: str
    sources: tuple[ShardSource, ...]


def rows_per_shard(setting: Union[str, int], row_bytes: int, num_rows: int, min_shards: int) -> int:
    """Return the setting, or for `auto` what gives 16 MiB shards, and at least `min_shards`.

    Every Horovod rank needs a row group of its own, so a small split gets small shards.
    """
    if isinstance(setting, int):
        return setting
    return max(1, min(_TARGET_BYTES // row_bytes, num_rows // min_shards))


def stable_rows_per_shard(selections: Sequence[RowSelection], split: str, target_rows: int) -> int:
    """Return the rows a shard that a split stays with: what stands, unless `wanted` is twice that.

    A dataset that grows every night would else change its shards' size, and all shards, each time.
    """
    standing = [
        own.unchanged_shard.rows
        for own in selections
        if own.unchanged_shard and own.unchanged_shard.split == split
    ]
    return max(standing) if standing and target_rows < 2 * max(standing) else target_rows


def plan_shards(
    selections: Sequence[RowSelection], num_rows_per_shard: Mapping[str, int], run: str
) -> tuple[list[ShardFile], list[Shard]]:
    """Cut what is kept into shards of equal row counts, the last one of a split shorter.

    A full shard that stands, and lost no row, goes on standing. A short one does so until there
    are rows to fill it up: these, with its own, then become new shards.

    Args:
        kept: in the dataset's order, what stands before what is new.
        num_rows_per_shard: by split.
        run: a name for the files that no other input or config gives.

    Returns:
        The shards that go on standing, and those to write.
    """
    standing: list[ShardFile] = []
    new: list[Shard] = []
    for split in SPLITS:
        size = num_rows_per_shard[split]
        own = [source for source in selections if source.split == split and len(source.row_numbers)]
        whole = [source for source in own if source.unchanged_shard]
        if len(whole) < len(own) or any(len(source.row_numbers) > size for source in whole):
            whole = [source for source in whole if len(source.row_numbers) == size]
        held = {source.url for source in whole}
        standing += [source.unchanged_shard for source in whole if source.unchanged_shard]
        loose = [
            ShardSource(source.url, source.row_numbers) for source in own if source.url not in held
        ]
        for number, cut in enumerate(_cut_shards(loose, size)):
            new.append(Shard(f"{split}/{run}-{number:05d}.parquet", split, cut))
    return standing, new


def _cut_shards(pieces: Sequence[ShardSource], num_rows: int) -> list[tuple[ShardSource, ...]]:
    shards: list[tuple[ShardSource, ...]] = []
    open_shard: list[ShardSource] = []
    room = num_rows
    for url, rows in pieces:
        while len(rows):
            open_shard.append(ShardSource(url, rows[:room]))
            room, rows = room - len(rows[:room]), rows[room:]
            if not room:
                shards.append(tuple(open_shard))
                open_shard, room = [], num_rows
    return [*shards, tuple(open_shard)] if open_shard else shards


class ShardSummary(NamedTuple):
    """What a manifest's `ShardFile` says of a shard, besides its name."""

    rows: int
    size_bytes: int
    digest: str
    sums: tuple[int, ...]
    square_sums: tuple[int, ...]


class ShardWriter:
    """Writes shards. Keeps the last part read, as neighbouring shards often share one."""

    def __init__(self, root: str, images: str, labels: Sequence[str], channels: int) -> None:
        self._root = root
        self._images = images
        self._labels = arrow.string_array(labels)
        self._channels = channels
        self._last: Optional[tuple[str, pa.Table]] = None

    def write(self, shard: Shard) -> ShardSummary:
        """Write one shard; the same rows always give the same file, byte for byte."""
        pieces = [arrow.take_rows(self._read(url), rows) for url, rows in shard.sources]
        table = self._as_rows(pa.concat_tables(pieces).combine_chunks())
        size_bytes = storage.write_table(storage.join(self._root, shard.path), table)
        _, pixels = arrow.offsets_and_data(table[schema.IMAGE].chunk(0))
        sums = pixel_statistics.channel_sums(pixels.reshape(table.num_rows, -1), self._channels)
        return ShardSummary(table.num_rows, size_bytes, _digest_rows(table, self._images), *sums)

    def _read(self, url: str) -> pa.Table:
        if self._last is None or self._last[0] != url:
            table = storage.read_table(url, _SOURCE_SCHEMA.names)
            self._last = (url, pa.table(table.columns, schema=_SOURCE_SCHEMA))
        return self._last[1]

    def _as_rows(self, part: pa.Table) -> pa.Table:
        label_ids = pc.index_in(part["label"], value_set=self._labels)
        arrays = [
            label_ids if name == schema.LABEL_ID else part[name] for name in schema.ROWS.names
        ]
        return pa.table(arrays, schema=schema.ROWS)


def _digest_rows(rows: pa.Table, images: str) -> str:
    """Digest what a model can see of the rows, and their paths below the images' folder."""
    paths = arrow.string_array([key[len(images) :] for key in rows[schema.KEY].to_pylist()])
    digest = hashlib.blake2b(digest_size=16)
    for column in (paths, rows[schema.LABEL].chunk(0), rows[schema.IMAGE].chunk(0)):
        ends, data = arrow.offsets_and_data(column)
        digest.update(np.diff(ends).astype("<i4").tobytes())
        digest.update(data.data)
    return digest.hexdigest()
