"""Write the planned shards of a version in Spark's workers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from functools import partial
from itertools import accumulate
from typing import Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import PixelSpec
from halftone.dataset import pixel_statistics, schema, shard_files
from halftone.dataset.shard_files import SHARD_FILES, ShardFile
from halftone.dataset.splits import SPLITS
from halftone.dataset.stored_images import PixelArray, StoredImages
from halftone.preprocess import decode_block, row_notes
from halftone.preprocess.decode_block import STATUS
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.preprocess.shards import Shard, ShardSource
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_frame, map_rows
from halftone.storage.written_rows import WrittenRows

# Neighbouring shards are written by one task, as they share source files: a task that starts in
# the middle of a staged part reads all of it. More than the largest bytes gain nothing.
_MIN_TASK_BYTES, _MAX_TASK_BYTES = 32 * 2**20, 256 * 2**20
_TARGET_TASKS = 32
# Shards for one task. A list of lists has no column type of its own, so `shards` is JSON.
_TASKS = pa.schema([pa.field("shards", pa.string())])
# The columns that a staged part and a shard share: all but the index of the label.
_SOURCE_SCHEMA = pa.schema([field for field in schema.ROWS if field.name != schema.LABEL_ID])


class ShardWriter:
    """Writes shards. Caches the rows of the last source, as neighbouring shards often share one.

    Args:
        dataset: URL of the dataset's folder.
        images: URL of the folder of images.
        labels: of the dataset, in the order of `label_id`.
        pixels: format of the images, the same in all sources.
    """

    def __init__(self, dataset: str, images: str, labels: Sequence[str], pixels: PixelSpec) -> None:
        self.dataset = dataset
        self._images = images
        self._labels = arrow.string_array(labels)
        self._pixels = pixels
        self._schema = schema.rows_with_shape(pixels)
        self._last_key: Optional[tuple[str, str, tuple[str, ...]]] = None
        self._last_rows: Optional[pa.Table] = None

    @property
    def image_bytes(self) -> int:
        return self._pixels.image_bytes

    def write(self, shard: Shard) -> ShardFile:
        """Write one shard; the same rows always give the same bytes."""
        tables = [
            self._read_rows(source, shard.split).slice(source.first, source.num_rows)
            for source in shard.sources
        ]
        table = self._add_label_ids(pa.concat_tables(tables).combine_chunks())
        pixels = self._decode(tables, shard.sources)
        size_bytes = storage.write_table(storage.join(self.dataset, shard.path), table)
        sums, square_sums = pixel_statistics.channel_sums(
            pixels.reshape(table.num_rows, -1), self._pixels.channels
        )
        return ShardFile(
            path=shard.path,
            split=shard.split,
            rows=table.num_rows,
            size_bytes=size_bytes,
            digest=_digest_rows(table, pixels, self._images),
            sums=sums,
            square_sums=square_sums,
        )

    def _read_rows(self, source: ShardSource, split: str) -> pa.Table:
        """Return all rows of a split that a file gives to the new version."""
        key = (source.url, split, source.notes)
        if self._last_key != key:
            self._last_rows = read_source_rows(source.url, split, source.notes)
            self._last_key = key
        return self._last_rows

    def _decode(self, tables: Sequence[pa.Table], sources: Sequence[ShardSource]) -> PixelArray:
        """Return the pixels of rows of some sources, (rows, height, width, channels)."""
        parts = [
            StoredImages(
                table[schema.IMAGE], self._pixels, source.url, arrow.to_numpy(table[ROW_NUMBER])
            ).pixels()
            for table, source in zip(tables, sources)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _add_label_ids(self, table: pa.Table) -> pa.Table:
        """Return schema.ROWS, with the shape of the images in the metadata."""
        label_ids = pc.index_in(table[schema.LABEL], value_set=self._labels)
        columns = [
            label_ids if name == schema.LABEL_ID else table[name] for name in schema.ROWS.names
        ]
        return pa.table(columns, schema=self._schema)


def read_source_rows(url: str, split: str, notes: Sequence[str]) -> pa.Table:
    """Return the rows that a file gives to a split: schema.ROWS without LABEL_ID, and ROW_NUMBER.

    Args:
        url: of a staged part, or of a shard of the split.
        notes: URLs of the ROW_NOTES of the file.
    """
    # Columns that the file does not have are left out: a shard has no status and no split.
    table = storage.read_table(url, [*_SOURCE_SCHEMA.names, STATUS, schema.SPLIT])
    mask = row_notes.keep_mask(table.num_rows, notes)
    if STATUS in table.column_names:
        mask &= decode_block.is_decoded(table) & _is_of_split(table, split)
    numbers = arrow.number_array(np.arange(table.num_rows), pa.int64())
    rows = arrow.conform(table, _SOURCE_SCHEMA).append_column(ROW_NUMBER, numbers)
    return arrow.filter_rows(rows, mask)


def _is_of_split(part: pa.Table, split: str) -> npt.NDArray[np.bool_]:
    is_split: npt.NDArray[np.bool_] = arrow.to_numpy(part[schema.SPLIT]) == SPLITS.index(split)
    return is_split


def _digest_rows(rows: pa.Table, pixels: PixelArray, images: str) -> str:
    """Digest the labels, pixels and paths (below the folder of images) of the rows.

    Equal pixels give an equal digest, whatever they are encoded as.
    """
    paths = arrow.string_array([key[len(images) :] for key in rows[schema.KEY].to_pylist()])
    digest = hashlib.blake2b(digest_size=16)
    for column in (paths, rows[schema.LABEL]):
        offsets, data = arrow.offsets_and_data(column)
        digest.update(np.diff(offsets).astype("<i4").tobytes())
        digest.update(data.data)
    digest.update(np.full(len(pixels), pixels[0].size, "<i4").tobytes())
    digest.update(pixels.data)
    return digest.hexdigest()


def write_shards(
    session: SparkSession, writer: ShardWriter, planned: Sequence[Shard], run_name: str
) -> list[ShardFile]:
    """Write the shards that `plan_shards` has planned; return them in the same order.

    Args:
        run_name: the files are named by it.

    Raises:
        RunError: a source cannot be read, or a shard cannot be written.
    """
    if not planned:
        return []

    written = WrittenRows({storage.join(writer.dataset, shard.path): 1 for shard in planned})
    tasks = [(json.dumps(shards),) for shards in group_by_task(planned, writer.image_bytes)]
    frame = create_frame(session, build_table(tasks, _TASKS), len(tasks))
    rows = collect_rows(
        map_rows(frame, partial(_write, writer), SHARD_FILES),
        ActionProgress(
            "write", f"write shards of {writer.dataset}", len(planned), "shards", written.count
        ),
    )
    files = {file.path: file for file in map(shard_files.from_row, rows)}
    return [files[shard.path] for shard in planned]


def group_by_task(planned: Sequence[Shard], image_bytes: int) -> list[list[Shard]]:
    """Return the shards that each task writes: consecutive ones, of similar size for all tasks."""
    ends = list(accumulate(shard.num_rows for shard in planned))
    total_bytes = ends[-1] * image_bytes
    task_bytes = max(_MIN_TASK_BYTES, min(total_bytes // _TARGET_TASKS, _MAX_TASK_BYTES))
    num_tasks = -(-total_bytes // task_bytes)
    by_task: dict[int, list[Shard]] = {}
    for shard, end in zip(planned, ends):
        task = (end - 1) * num_tasks // ends[-1]  # that of its last row
        by_task.setdefault(task, []).append(shard)
    return list(by_task.values())


def _write(writer: ShardWriter, shards: str) -> Iterator[tuple[object, ...]]:
    for shard in parse_shards(shards):
        *fields, sums, square_sums = astuple(writer.write(shard))
        yield *fields, list(sums), list(square_sums)


def parse_shards(text: str) -> list[Shard]:
    """Return shards from JSON, which has lists in place of tuples."""
    return [
        Shard(
            path,
            split,
            tuple(ShardSource(url, tuple(notes), *rows) for url, notes, *rows in sources),
        )
        for path, split, sources in json.loads(text)
    ]
