"""Read and write Parquet files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import pyarrow as pa
import pyarrow.parquet as pq

from halftone.storage import clients
from halftone.storage.files import write_bytes
from halftone.storage.urls import is_local


def read_table(url: str, columns: Optional[list[str]] = None) -> pa.Table:
    """Read a Parquet file, or some of its columns."""
    with open_parquet(url) as file:
        return file.read(columns)


def read_column_names(url: str) -> list[str]:
    """Return the names of the columns of a Parquet file."""
    with open_parquet(url) as file:
        return list(file.schema_arrow.names)


def read_row_group(url: str, index: int) -> pa.Table:
    """Read one row group of a Parquet file."""
    with open_parquet(url) as file:
        return file.read_row_group(index)


def count_rows(url: str) -> Optional[int]:
    """Count the rows of a Parquet file from its footer.

    Returns:
        None if there is no such file, or it is not a complete Parquet file.
    """
    try:
        with open_parquet(url) as file:
            return int(file.metadata.num_rows)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def count_row_groups(url: str) -> int:
    with open_parquet(url) as file:
        return int(file.num_row_groups)


@contextmanager
def open_parquet(url: str) -> Iterator[Any]:
    """Open a `pq.ParquetFile`.

    Raises:
        FileNotFoundError: there is no such file.
        pa.ArrowInvalid: it is not a complete Parquet file.
    """
    if is_local(url):
        yield pq.ParquetFile(url, memory_map=True)
        return
    filesystem, path = clients.open_filesystem(url)
    with clients.translate_errors(url), filesystem.open(path, "rb") as file:
        yield pq.ParquetFile(file)


def write_table(url: str, table: pa.Table, rows_per_group: Optional[int] = None) -> int:
    """Write `table` atomically as a Parquet file, by default with one row group.

    The file is not compressed: pixels of photographs hardly shrink, and reading would be slower.

    Returns:
        The size of the file in bytes.
    """
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="NONE", use_dictionary=False) as writer:
        writer.write_table(table, row_group_size=rows_per_group or max(1, table.num_rows))
    write_bytes(url, buffer.getbuffer())
    return buffer.getbuffer().nbytes
