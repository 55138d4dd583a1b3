"""What a dataset knows of its images: the rows, rejects and duplicates of its last version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest, ShardFile
from halftone.preprocess.changes import DUPLICATE, KNOWN, ROW

_READERS = 8
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
_NO_KEY = arrow.of_text([""])


class Standing(NamedTuple):
    """The last version, or what is left of it, without its pixels."""

    shards: list[tuple[str, ShardFile, pa.Table]]  # its URL, itself, _ROW_COLUMNS and ROW_NUMBER
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES

    @property
    def inputs(self) -> int:
        rows = sum(table.num_rows for *_, table in self.shards)
        return int(rows + self.rejects.num_rows + self.duplicates.num_rows)


EMPTY = Standing([], arrow.nothing(schema.REJECTS), arrow.nothing(schema.DUPLICATES))


def read(dataset: str, last: Manifest) -> Standing:
    """Read what version `last` of the dataset says of its images."""

    urls = [storage.join(dataset, file.path) for file in last.files]
    with ThreadPoolExecutor(_READERS) as pool:
        tables = pool.map(lambda url: numbered(storage.read_table(url, _ROW_COLUMNS)), urls)
        shards = list(zip(urls, last.files, tables))
    return Standing(
        shards,
        _together(dataset, last.rejects_files, schema.REJECTS),
        _together(dataset, last.duplicates_files, schema.DUPLICATES),
    )


def numbered(table: pa.Table) -> pa.Table:
    """Add to each row its number."""
    numbers = arrow.of_numbers(np.arange(table.num_rows), pa.int64())
    return table.append_column(ROW_NUMBER, numbers)


def _together(dataset: str, paths: list[str], table_schema: pa.Schema) -> pa.Table:
    tables = [storage.read_table(storage.join(dataset, path)) for path in paths]
    return pa.concat_tables([arrow.nothing(table_schema), *tables])


def known(standing: Standing) -> pa.Table:
    """All images of the last version, as KNOWN."""
    rejects, duplicates = standing.rejects, standing.duplicates
    found = [
        [
            *(table[name] for name in (schema.KEY, "source_bytes", "source_modified")),
            arrow.repeat(arrow.of_text([ROW]), table.num_rows),
            arrow.repeat(_NO_KEY, table.num_rows),
        ]
        for *_, table in standing.shards
    ]
    listed = (schema.PATH, schema.SIZE_BYTES, schema.MODIFIED)
    kept = arrow.repeat(_NO_KEY, rejects.num_rows)
    found.append([*(rejects[name] for name in (*listed, schema.REASON)), kept])
    status = arrow.repeat(arrow.of_text([DUPLICATE]), duplicates.num_rows)
    found.append([*(duplicates[name] for name in listed), status, duplicates[schema.KEPT_PATH]])
    return pa.concat_tables(pa.table(values, schema=KNOWN) for values in found)


def without(standing: Standing, keys: pa.ChunkedArray) -> Standing:
    """Leave out the images with these keys."""
    # One look-up for all shards, as each would build its table of `keys` anew.
    of_shards = [table[schema.KEY] for *_, table in standing.shards]
    stays = ~arrow.is_in(arrow.together(keys.slice(0, 0), *of_shards), keys)
    ends = np.cumsum([len(column) for column in of_shards], dtype=np.int64)
    rejects, duplicates = (
        arrow.where(table, ~arrow.is_in(table[schema.PATH], keys))
        for table in (standing.rejects, standing.duplicates)
    )
    shards = [
        (url, file, arrow.where(table, mask))
        for (url, file, table), mask in zip(standing.shards, np.split(stays, ends[:-1]))
    ]
    return Standing(shards, rejects, duplicates)
