"""What a dataset knows of its images: the rows, rejects and duplicates of its last version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa

from halftone import columns, schema, storage
from halftone.incremental import DUPLICATE, ROW, Known, Listed
from halftone.manifest import Manifest, ShardFile

_READERS = 8
_ROW_COLUMNS = [
    schema.KEY,
    schema.LABEL,
    "source_bytes",
    "source_modified",
    "source_digest",
    "perceptual_hash",
]


class Standing(NamedTuple):
    """The last version, without its pixels."""

    shards: list[tuple[str, ShardFile, pa.Table]]  # its URL, itself, its _ROW_COLUMNS
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES


EMPTY = Standing([], columns.nothing(schema.REJECTS), columns.nothing(schema.DUPLICATES))


def read(dataset: str, last: Manifest) -> Standing:
    """Read what version `last` of the dataset says of its images."""

    urls = [storage.join(dataset, file.path) for file in last.files]
    with ThreadPoolExecutor(_READERS) as pool:
        tables = pool.map(lambda url: storage.read_table(url, _ROW_COLUMNS), urls)
        shards = list(zip(urls, last.files, tables))
    return Standing(
        shards,
        _together(dataset, last.rejects_files, schema.REJECTS),
        _together(dataset, last.duplicates_files, schema.DUPLICATES),
    )


def _together(dataset: str, paths: list[str], table_schema: pa.Schema) -> pa.Table:
    tables = [storage.read_table(storage.join(dataset, path)) for path in paths]
    return pa.concat_tables([columns.nothing(table_schema), *tables])


def known(standing: Standing) -> dict[str, Known]:
    """All images of the last version, by key."""
    found: dict[str, Known] = {}
    for *_, table in standing.shards:
        names = ("key", "source_bytes", "source_modified")
        for key, size, modified in zip(*(table[name].to_pylist() for name in names)):
            found[key] = Known(Listed(size, modified), ROW)
    for row in standing.rejects.to_pylist():
        listed = Listed(row[schema.SIZE_BYTES], row[schema.MODIFIED])
        found[row[schema.PATH]] = Known(listed, row[schema.REASON])
    for row in standing.duplicates.to_pylist():
        listed = Listed(row[schema.SIZE_BYTES], row[schema.MODIFIED])
        found[row[schema.PATH]] = Known(listed, DUPLICATE, row[schema.KEPT_PATH])
    return found
