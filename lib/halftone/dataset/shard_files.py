"""What a manifest says of each shard, as Python objects and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from halftone import arrow

PATH, SPLIT, ROWS, SIZE_BYTES, DIGEST = "path", "split", "rows", "size_bytes", "digest"
SUMS, SQUARE_SUMS = "sums", "square_sums"

# The fields of a ShardFile.
SHARD_FILES = pa.schema(
    [
        pa.field(PATH, pa.string()),
        pa.field(SPLIT, pa.string()),
        pa.field(ROWS, pa.int64()),
        pa.field(SIZE_BYTES, pa.int64()),
        pa.field(DIGEST, pa.string()),
        pa.field(SUMS, pa.list_(pa.int64())),
        pa.field(SQUARE_SUMS, pa.list_(pa.int64())),
    ]
)


# A pydantic model would take nearly three times the memory of this class.
@dataclass(frozen=True)
class ShardFile:
    """One Parquet file of one row group."""

    path: str  # below the dataset's root
    split: str
    rows: int
    size_bytes: int
    digest: str  # BLAKE2b of its keys, labels and pixels
    # Sums of the pixels and of their squares by channel; empty in shards of an older Halftone.
    sums: tuple[int, ...] = ()
    square_sums: tuple[int, ...] = ()


def from_row(row: Sequence[Any]) -> ShardFile:
    """Return a row of SHARD_FILES as a ShardFile."""
    path, split, rows, size_bytes, digest, sums, square_sums = row
    return ShardFile(path, split, rows, size_bytes, digest, tuple(sums), tuple(square_sums))


def from_table(table: pa.Table) -> list[ShardFile]:
    return list(map(from_row, arrow.iter_rows(table, *SHARD_FILES.names)))
