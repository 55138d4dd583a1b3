"""A dataset as Delta tables: one of all rows, and one of each folder of Parquet files.

The folder of the dataset is a table of all rows, whose column `split` is in the log only. Each
split, the rejects and the (near) duplicates are tables of their own, in their folders: Unity
Catalog does not take a table inside of another, and Polars does not read columns of the log.

The version of a table is that of the manifest. The manifest is published first, and decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import pyarrow as pa

from halftone import delta_log, storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.manifest import (
    DUPLICATES,
    NEAR_DUPLICATES,
    REJECTS,
    Manifest,
    read_shards,
)
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.delta_log import TableContent, TableFile
from halftone.errors import InputError

_THREADS = 8


def publish_delta_tables(root: str, manifest: Manifest) -> None:
    """Write the version of a published manifest to the logs that do not have it.

    Raises:
        InputError: a table of rejects or duplicates is missing or damaged.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        publish = partial(delta_log.publish_version, version=manifest.version)
        list(pool.map(publish, describe_tables(root, manifest)))


def describe_tables(root: str, manifest: Manifest) -> list[TableContent]:
    """Return the tables of a dataset: each split, the side tables, and last that of all rows."""
    shards = read_shards(root, manifest)
    side_tables = (
        (REJECTS, schema.REJECTS, manifest.rejects_files),
        (DUPLICATES, schema.DUPLICATES, manifest.duplicates_files),
        (NEAR_DUPLICATES, schema.NEAR_DUPLICATES, manifest.near_duplicates_files),
    )
    return [
        *(_describe_split(root, manifest, shards, split) for split in SPLITS),
        *(
            _describe_side_table(root, manifest, name, table_schema, paths)
            for name, table_schema, paths in side_tables
        ),
        _describe_rows(root, manifest, shards),
    ]


def _describe_rows(root: str, manifest: Manifest, shards: Sequence[ShardFile]) -> TableContent:
    created_ms = _created_ms(manifest)
    files = [
        TableFile(
            shard.path, shard.size_bytes, created_ms, shard.rows, ((schema.SPLIT, shard.split),)
        )
        for shard in shards
    ]
    content = _content(root, manifest, schema.ROWS, files)
    return content._replace(
        partition_columns=(schema.SPLIT,), comments={schema.IMAGE: _image_format(manifest.pixels)}
    )


def _describe_split(
    root: str, manifest: Manifest, shards: Sequence[ShardFile], split: str
) -> TableContent:
    created_ms = _created_ms(manifest)
    files = [
        TableFile(_below(split, shard.path), shard.size_bytes, created_ms, shard.rows)
        for shard in shards
        if shard.split == split
    ]
    content = _content(storage.join(root, split), manifest, schema.ROWS, files)
    return content._replace(comments={schema.IMAGE: _image_format(manifest.pixels)})


def _describe_side_table(
    root: str, manifest: Manifest, name: str, table_schema: pa.Schema, paths: Sequence[str]
) -> TableContent:
    created_ms = _created_ms(manifest)
    files = []
    for path in paths:
        url = storage.join(root, path)
        size_bytes, num_rows = storage.file_size(url), storage.count_rows(url)
        if size_bytes is None or num_rows is None:
            raise InputError(
                f"{url} is missing or damaged; restore it from a backup, or remove the dataset and "
                "run jobs/preprocess.py again"
            )
        files.append(TableFile(_below(name, path), size_bytes, created_ms, num_rows))
    return _content(storage.join(root, name), manifest, table_schema, files)


def _content(
    root: str, manifest: Manifest, table_schema: pa.Schema, files: Sequence[TableFile]
) -> TableContent:
    facts = {"manifestVersion": manifest.version, "fingerprint": manifest.fingerprint}
    return TableContent(root, table_schema, files, _created_ms(manifest), facts)


def _below(folder: str, path: str) -> str:
    return path.removeprefix(f"{folder}/")


def _created_ms(manifest: Manifest) -> int:
    return int(datetime.fromisoformat(manifest.created).timestamp()) * 1000


def _image_format(pixels: PixelSpec) -> str:
    height_px, width_px, channels = pixels.shape
    shape = f"{height_px} x {width_px} x {channels}"
    if pixels.encoding == "raw":
        return f"uint8 pixels of {shape}: height, width, channels"
    return f"a {pixels.encoding.upper()} file of {shape}: height, width, channels"
