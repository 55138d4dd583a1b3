"""The images of a dataset's previous version: its rows, rejects and duplicates."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.preprocess.changes import DUPLICATE, KNOWN_IMAGES, NO_SPLIT, ROW

_READ_THREADS = 8
# The columns of a shard that are read.
_ROW_COLUMNS = pa.schema(
    schema.ROWS.field(name)
    for name in (
        schema.KEY,
        schema.LABEL,
        schema.SOURCE_BYTES,
        schema.SOURCE_MODIFIED,
        schema.SOURCE_DIGEST,
        schema.PERCEPTUAL_HASH,
    )
)
ROW_NUMBER = "row"  # name of the column with the number of a row in its file
_EMPTY, _NO_SPLIT = arrow.string_array([""]), arrow.number_array([NO_SPLIT], pa.int8())


class PreviousVersion(NamedTuple):
    """The previous version, or the part of it that is retained, without its pixels."""

    # Each shard's URL, its entry in the manifest, and a table of _ROW_COLUMNS and ROW_NUMBER.
    shards: list[tuple[str, ShardFile, pa.Table]]
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES

    @property
    def inputs(self) -> int:
        num_rows = sum(table.num_rows for *_, table in self.shards)
        return int(num_rows + self.rejects.num_rows + self.duplicates.num_rows)


EMPTY_VERSION = PreviousVersion(
    [], arrow.empty_table(schema.REJECTS), arrow.empty_table(schema.DUPLICATES)
)


def read_version(dataset: str, manifest: Manifest) -> PreviousVersion:
    """Read the rows, rejects and duplicates that `manifest` names, without the pixels."""
    files = read_shards(dataset, manifest)
    urls = [storage.join(dataset, file.path) for file in files]
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        tables = pool.map(lambda url: storage.read_table(url, _ROW_COLUMNS.names), urls)
        rows = (add_row_numbers(arrow.conform(table, _ROW_COLUMNS)) for table in tables)
        shards = list(zip(urls, files, rows))
    return PreviousVersion(
        shards,
        _read_tables(dataset, manifest.rejects_files, schema.REJECTS),
        _read_tables(dataset, manifest.duplicates_files, schema.DUPLICATES),
    )


def add_row_numbers(table: pa.Table) -> pa.Table:
    """Append the column ROW_NUMBER, which counts the rows from 0."""
    numbers = arrow.number_array(np.arange(table.num_rows), pa.int64())
    return table.append_column(ROW_NUMBER, numbers)


def _read_tables(dataset: str, paths: list[str], table_schema: pa.Schema) -> pa.Table:
    tables = (storage.read_table(storage.join(dataset, path)) for path in paths)
    conformed = (arrow.conform(table, table_schema) for table in tables)
    return pa.concat_tables([arrow.empty_table(table_schema), *conformed])


def known_images(previous_version: PreviousVersion) -> pa.Table:
    """Return all images of the version as KNOWN_IMAGES."""
    rows = [_known_rows(file, table) for _, file, table in previous_version.shards]
    rejects, duplicates = previous_version.rejects, previous_version.duplicates
    file_names = (schema.PATH, schema.SIZE_BYTES, schema.MODIFIED)
    parts = [
        *rows,
        [
            *(rejects[name] for name in file_names),
            arrow.repeat_value(_EMPTY, rejects.num_rows),
            arrow.repeat_value(_NO_SPLIT, rejects.num_rows),
            rejects[schema.REASON],
            arrow.repeat_value(_EMPTY, rejects.num_rows),
        ],
        [
            *(duplicates[name] for name in (*file_names, schema.LABEL)),
            arrow.repeat_value(_NO_SPLIT, duplicates.num_rows),
            arrow.repeat_value(arrow.string_array([DUPLICATE]), duplicates.num_rows),
            duplicates[schema.KEPT_PATH],
        ],
    ]
    return pa.concat_tables(pa.table(columns, schema=KNOWN_IMAGES) for columns in parts)


def _known_rows(file: ShardFile, table: pa.Table) -> list[arrow.Column]:
    """Return the columns of KNOWN_IMAGES of the rows of a shard."""
    names = (schema.KEY, schema.SOURCE_BYTES, schema.SOURCE_MODIFIED, schema.LABEL)
    split_id = arrow.number_array([SPLITS.index(file.split)], pa.int8())
    return [
        *(table[name] for name in names),
        arrow.repeat_value(split_id, table.num_rows),
        arrow.repeat_value(arrow.string_array([ROW]), table.num_rows),
        arrow.repeat_value(_EMPTY, table.num_rows),
    ]


def exclude_images(previous_version: PreviousVersion, keys: pa.ChunkedArray) -> PreviousVersion:
    """Return the version without the images that have these keys."""
    # One look-up for all shards: each call of is_in builds a hash table of `keys`.
    shard_keys = [table[schema.KEY] for *_, table in previous_version.shards]
    is_retained = ~arrow.is_in(arrow.concat_columns(keys.slice(0, 0), *shard_keys), keys)
    ends = np.cumsum([len(column) for column in shard_keys], dtype=np.int64)
    rejects, duplicates = (
        arrow.filter_rows(table, ~arrow.is_in(table[schema.PATH], keys))
        for table in (previous_version.rejects, previous_version.duplicates)
    )
    masks = np.split(is_retained, ends[:-1])
    shards = [
        (url, file, arrow.filter_rows(table, mask))
        for (url, file, table), mask in zip(previous_version.shards, masks)
    ]
    return PreviousVersion(shards, rejects, duplicates)
