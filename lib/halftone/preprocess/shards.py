"""Plan which rows go to which shard (pure functions), and write the shards."""

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
# The columns that a staged part and a shard share: all but the index of the label.
_SOURCE_SCHEMA = pa.schema([field for field in schema.ROWS if field.name != schema.LABEL_ID])


class RowSelection(NamedTuple):
    """The rows of a staged part or of an existing shard that the new version contains."""

    url: str
    split: str
    row_numbers: npt.NDArray[np.int64]
    unchanged_shard: Optional[ShardFile] = None  # the existing shard, if all its rows are kept


class ShardSource(NamedTuple):
    url: str
    row_numbers: npt.NDArray[np.int64]


class Shard(NamedTuple):
    path: str  # below the dataset's root
    split: str
    sources: tuple[ShardSource, ...]


def rows_per_shard(setting: Union[str, int], row_bytes: int, num_rows: int, min_shards: int) -> int:
    """Return the rows per shard: the setting, or for `auto` the number that fits into 16 MiB.

    `auto` gives at least `min_shards` shards: each Horovod rank needs a row group of its own, so a
    small split gets small shards.
    """
    if isinstance(setting, int):
        return setting
    return max(1, min(_TARGET_BYTES // row_bytes, num_rows // min_shards))


def stable_rows_per_shard(selections: Sequence[RowSelection], split: str, target_rows: int) -> int:
    """Return the shard size of the split's existing shards, or `target_rows` if twice as large.

    If it always returned `target_rows`, a dataset that grows every night would change the size of
    its shards each time, and rewrite all of them.
    """
    existing_rows = [
        selection.unchanged_shard.rows
        for selection in selections
        if selection.unchanged_shard and selection.unchanged_shard.split == split
    ]
    if existing_rows and target_rows < 2 * max(existing_rows):
        return max(existing_rows)
    return target_rows


def plan_shards(
    selections: Sequence[RowSelection], num_rows_per_shard: Mapping[str, int], run_name: str
) -> tuple[list[ShardFile], list[Shard]]:
    """Cut the selected rows of each split into shards of equal size; only the last may be shorter.

    An existing shard that is full and lost no row stays unchanged. A shorter one stays unchanged
    until there are rows to fill it up: its rows and the new ones then become new shards.

    Args:
        selections: in the dataset's order, existing shards before staged parts.
        num_rows_per_shard: by split.
        run_name: names the new files; differs for every other input and config.

    Returns:
        The shards that stay unchanged, and the shards to write.
    """
    unchanged: list[ShardFile] = []
    planned: list[Shard] = []
    for split in SPLITS:
        size = num_rows_per_shard[split]
        of_split = [
            selection
            for selection in selections
            if selection.split == split and len(selection.row_numbers)
        ]
        whole = [selection for selection in of_split if selection.unchanged_shard]
        if len(whole) < len(of_split) or any(len(shard.row_numbers) > size for shard in whole):
            whole = [shard for shard in whole if len(shard.row_numbers) == size]
        unchanged += [shard.unchanged_shard for shard in whole if shard.unchanged_shard]
        unchanged_urls = {shard.url for shard in whole}
        sources = [
            ShardSource(selection.url, selection.row_numbers)
            for selection in of_split
            if selection.url not in unchanged_urls
        ]
        for number, shard_sources in enumerate(_cut_shards(sources, size)):
            path = f"{split}/{run_name}-{number:05d}.parquet"
            planned.append(Shard(path, split, shard_sources))
    return unchanged, planned


def _cut_shards(sources: Sequence[ShardSource], num_rows: int) -> list[tuple[ShardSource, ...]]:
    """Return the sources of each shard, `num_rows` rows per shard but for the last."""
    shards: list[tuple[ShardSource, ...]] = []
    open_shard: list[ShardSource] = []
    free_rows = num_rows
    for url, rows in sources:
        while len(rows):
            open_shard.append(ShardSource(url, rows[:free_rows]))
            free_rows, rows = free_rows - len(rows[:free_rows]), rows[free_rows:]
            if not free_rows:
                shards.append(tuple(open_shard))
                open_shard, free_rows = [], num_rows
    return [*shards, tuple(open_shard)] if open_shard else shards


class ShardSummary(NamedTuple):
    """The fields of a manifest's `ShardFile` that are known after the shard is written."""

    rows: int
    size_bytes: int
    digest: str
    sums: tuple[int, ...]
    square_sums: tuple[int, ...]


class ShardWriter:
    """Writes shards. Caches the last file read, as neighbouring shards often share one.

    Args:
        dataset: URL of the dataset's folder.
        images: URL of the folder of images.
        labels: of the dataset, in the order of `label_id`.
        shape: height, width and channels of the images.
    """

    def __init__(
        self, dataset: str, images: str, labels: Sequence[str], shape: tuple[int, int, int]
    ) -> None:
        self._dataset = dataset
        self._images = images
        self._labels = arrow.string_array(labels)
        self._channels = shape[2]
        self._schema = schema.rows_with_shape(*shape)
        self._last_source: Optional[tuple[str, pa.Table]] = None

    def write(self, shard: Shard) -> ShardSummary:
        """Write one shard; the same rows always give the same bytes."""
        tables = [arrow.take_rows(self._read_source(url), rows) for url, rows in shard.sources]
        table = self._add_label_ids(pa.concat_tables(tables).combine_chunks())
        size_bytes = storage.write_table(storage.join(self._dataset, shard.path), table)
        _, pixels = arrow.offsets_and_data(table[schema.IMAGE])
        sums = pixel_statistics.channel_sums(pixels.reshape(table.num_rows, -1), self._channels)
        return ShardSummary(table.num_rows, size_bytes, _digest_rows(table, self._images), *sums)

    def _read_source(self, url: str) -> pa.Table:
        if self._last_source is None or self._last_source[0] != url:
            table = storage.read_table(url, _SOURCE_SCHEMA.names)
            self._last_source = (url, arrow.conform(table, _SOURCE_SCHEMA))
        return self._last_source[1]

    def _add_label_ids(self, table: pa.Table) -> pa.Table:
        """Return schema.ROWS, with the shape of the images in the metadata."""
        label_ids = pc.index_in(table[schema.LABEL], value_set=self._labels)
        columns = [
            label_ids if name == schema.LABEL_ID else table[name] for name in schema.ROWS.names
        ]
        return pa.table(columns, schema=self._schema)


def _digest_rows(rows: pa.Table, images: str) -> str:
    """Digest the labels, pixels and paths (below the folder of images) of the rows."""
    paths = arrow.string_array([key[len(images) :] for key in rows[schema.KEY].to_pylist()])
    digest = hashlib.blake2b(digest_size=16)
    for column in (paths, rows[schema.LABEL], rows[schema.IMAGE]):
        offsets, data = arrow.offsets_and_data(column)
        digest.update(np.diff(offsets).astype("<i4").tobytes())
        digest.update(data.data)
    return digest.hexdigest()
