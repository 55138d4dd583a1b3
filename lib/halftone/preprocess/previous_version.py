"""What a dataset knows of its images: the rows, rejects and duplicates of its last version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest, ShardFile
from halftone.preprocess.changes import DUPLICATE, KNOWN_IMAGES, ROW

_READ_THREADS = 8
# What is read of a shard's rows, and the number of each in it.
_ROW_COLUMNS = [
    schema.KEY,
    schema.LABEL,
    "source_bytes",
    "source_modified",
    "source_digest",
    "perceptual_hash",
]
ROW_NUMBER = "row"
_NO_KEY = arrow.string_array([""])


class PreviousVersion(NamedTuple):
    """The last version, or what is left of it, without its pixels."""

    shards: list[tuple[str, ShardFile, pa.Table]]  # its URL, itself, _ROW_COLUMNS and ROW_NUMBER
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES

    @property
    def inputs(self) -> int:
        rows = sum(table.num_rows for *_, table in self.shards)
        return int(rows + self.rejects.num_rows + self.duplicates.num_rows)


EMPTY_VERSION = PreviousVersion(
    [], arrow.empty_table(schema.REJECTS), arrow.empty_table(schema.DUPLICATES)
)


def read_version(dataset: str, manifest: Manifest) -> PreviousVersion:
    """Read what version `last` of the dataset says of its images."""

    urls = [storage.join(dataset, file.path) for file in manifest.files]
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        tables = pool.map(lambda url: add_row_numbers(storage.read_table(url, _ROW_COLUMNS)), urls)
        shards = list(zip(urls, manifest.files, tables))
    return PreviousVersion(
        shards,
        _read_tables(dataset, manifest.rejects_files, schema.REJECTS),
        _read_tables(dataset, manifest.duplicates_files, schema.DUPLICATES),
    )


def add_row_numbers(table: pa.Table) -> pa.Table:
    """Add to each row its number."""
    numbers = arrow.number_array(np.arange(table.num_rows), pa.int64())
    return table.append_column(ROW_NUMBER, numbers)


def _read_tables(dataset: str, paths: list[str], table_schema: pa.Schema) -> pa.Table:
    tables = [storage.read_table(storage.join(dataset, path)) for path in paths]
    return pa.concat_tables([arrow.empty_table(table_schema), *tables])


def known_images(previous_version: PreviousVersion) -> pa.Table:
    """All images of the last version, as KNOWN."""
    rejects, duplicates = previous_version.rejects, previous_version.duplicates
    found = [
        [
            *(table[name] for name in (schema.KEY, "source_bytes", "source_modified")),
            arrow.repeat_value(arrow.string_array([ROW]), table.num_rows),
            arrow.repeat_value(_NO_KEY, table.num_rows),
        ]
        for *_, table in previous_version.shards
    ]
    listed = (schema.PATH, schema.SIZE_BYTES, schema.MODIFIED)
    kept = arrow.repeat_value(_NO_KEY, rejects.num_rows)
    found.append([*(rejects[name] for name in (*listed, schema.REASON)), kept])
    status = arrow.repeat_value(arrow.string_array([DUPLICATE]), duplicates.num_rows)
    found.append([*(duplicates[name] for name in listed), status, duplicates[schema.KEPT_PATH]])
    return pa.concat_tables(pa.table(values, schema=KNOWN_IMAGES) for values in found)


def exclude_images(previous_version: PreviousVersion, keys: pa.ChunkedArray) -> PreviousVersion:
    """Leave out the images with these keys."""
    # One look-up for all shards, as each would build its table of `keys` anew.
    of_shards = [table[schema.KEY] for *_, table in previous_version.shards]
    stays = ~arrow.is_in(arrow.concat_columns(keys.slice(0, 0), *of_shards), keys)
    ends = np.cumsum([len(column) for column in of_shards], dtype=np.int64)
    rejects, duplicates = (
        arrow.filter_rows(table, ~arrow.is_in(table[schema.PATH], keys))
        for table in (previous_version.rejects, previous_version.duplicates)
    )
    shards = [
        (url, file, arrow.filter_rows(table, mask))
        for (url, file, table), mask in zip(previous_version.shards, np.split(stays, ends[:-1]))
    ]
    return PreviousVersion(shards, rejects, duplicates)
