"""What a manifest says of the shards: one by one, as a table, and in total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from sys import intern
from typing import Any, Optional

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage

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
_GROUP_ROWS = 1 << 14


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


@dataclass(frozen=True)
class SplitTotals:
    """The sums of all shards of a split."""

    shards: int
    rows: int
    size_bytes: int
    # By channel; empty if an older Halftone wrote one of the shards.
    sums: tuple[int, ...] = ()
    square_sums: tuple[int, ...] = ()


def add_up(files: Sequence[ShardFile]) -> SplitTotals:
    has_sums = all(file.sums for file in files)
    return SplitTotals(
        len(files),
        sum(file.rows for file in files),
        sum(file.size_bytes for file in files),
        _add_channels(file.sums for file in files) if has_sums else (),
        _add_channels(file.square_sums for file in files) if has_sums else (),
    )


def _add_channels(sums: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(channel) for channel in zip(*sums))


def from_row(row: Sequence[Any]) -> ShardFile:
    """Return a row of SHARD_FILES as a ShardFile."""
    path, split, rows, size_bytes, digest, sums, square_sums = row
    return ShardFile(path, split, rows, size_bytes, digest, tuple(sums), tuple(square_sums))


def write_files(url: str, files: Sequence[ShardFile]) -> None:
    """Write a table of SHARD_FILES."""
    columns = [[getattr(file, field.name) for file in files] for field in SHARD_FILES]
    arrays = [arrow.make_array(values, field.type) for values, field in zip(columns, SHARD_FILES)]
    storage.write_table(url, pa.table(arrays, schema=SHARD_FILES), _GROUP_ROWS)


def read_files(url: str, split: Optional[str] = None) -> list[ShardFile]:
    """Read the shards of a split, or all, from a table of SHARD_FILES."""
    table = _read_rows(url, split, SHARD_FILES.names)
    # Column by column through NumPy: row by row it takes four times as long.
    columns = [
        table[PATH].to_pylist(),
        map(intern, table[SPLIT].to_pylist()),
        arrow.to_numpy(table[ROWS]).tolist(),
        arrow.to_numpy(table[SIZE_BYTES]).tolist(),
        table[DIGEST].to_pylist(),
        _to_tuples(table[SUMS]),
        _to_tuples(table[SQUARE_SUMS]),
    ]
    return list(map(ShardFile, *columns))


def _to_tuples(column: pa.ChunkedArray) -> Iterator[tuple[int, ...]]:
    """Yield the lists of a column as tuples."""
    numbers = iter(arrow.to_numpy(pc.list_flatten(column)).tolist())
    for length in arrow.to_numpy(pc.list_value_length(column)).tolist():
        yield tuple(islice(numbers, length))


def read_paths(url: str, split: str) -> list[str]:
    """Read the paths of the shards of a split from a table of SHARD_FILES."""
    paths: list[str] = _read_rows(url, split, [PATH, SPLIT])[PATH].to_pylist()
    return paths


def _read_rows(url: str, split: Optional[str], columns: list[str]) -> pa.Table:
    """Read the rows of a split, from the row groups that may have any."""
    with storage.open_parquet(url) as file:
        if split is None:
            return file.read(columns)
        numbers = range(file.num_row_groups)
        groups = [n for n in numbers if _may_have(file.metadata.row_group(n), split)]
        rows = file.read_row_groups(groups, columns)
    return arrow.filter_rows(rows, arrow.is_in(rows[SPLIT], arrow.string_array([split])))


def _may_have(row_group: Any, split: str) -> bool:
    bounds = row_group.column(SHARD_FILES.names.index(SPLIT)).statistics
    return not bounds or not bounds.has_min_max or bounds.min <= split <= bounds.max
