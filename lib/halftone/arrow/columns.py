"""Read columns as NumPy arrays or Python objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Column = Union[pa.Array, pa.ChunkedArray]

# The types whose offsets are 32-bit numbers, and the same with 64-bit numbers.
LARGE_TYPES = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
SLICE_ROWS = 1 << 16  # few enough to become Python objects


def concat_columns(*columns: pa.ChunkedArray) -> pa.ChunkedArray:
    """Concatenate columns of one type."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    return pa.chunked_array(chunks, columns[0].type)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of `schema`, cast to its types."""
    # Not Table.cast, which imports pandas.
    columns = [
        column if column.type == field.type else pc.cast(column, field.type)
        for field in schema
        for column in [table[field.name]]
    ]
    return pa.table(columns, schema=schema)


def concat_tables(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return the rows of all tables, each conformed to a schema; no rows if there is no table."""
    conformed = [conform(table, schema) for table in tables]
    # Not schema.empty_table, which imports pandas.
    return pa.concat_tables([pa.Table.from_batches([], schema), *conformed])


def to_numpy(column: Column) -> npt.NDArray[Any]:
    """Return the values of a numeric column without nulls."""
    # By hand, as Array.to_numpy imports pandas.
    dtype = column.type.to_pandas_dtype()
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    arrays = [
        np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset : chunk.offset + len(chunk)]
        for chunk in chunks
        if len(chunk)
    ]
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0, dtype), *arrays])


def offsets_and_data(column: Column) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return the buffers of a `string` or `binary` column: (n + 1,) offsets and the bytes.

    The first offset is 0. The bytes are copied only if the column has several chunks.

    Raises:
        ValueError: the column has several chunks and 2 GiB or more, or its offsets decrease, as
            those of an array of more than 2 GiB do.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    offsets = offsets_of(column)
    if (offsets[1:] < offsets[:-1]).any():  # a difference would wrap around too
        raise ValueError(f"the offsets of a {column.type} array decrease")
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def offsets_of(array: pa.Array) -> npt.NDArray[np.int32]:
    """Return the (n + 1,) offsets of a `string` or `binary` array, of which n = 0 may have none."""
    buffer = array.buffers()[1]
    if not len(array) or buffer is None:
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32)[array.offset : array.offset + len(array) + 1]


def _chunks(column: Column) -> list[pa.Array]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


def data_bytes(column: Column) -> int:
    """Return the size of the values of a `string` or `binary` column; 0 for other types."""
    if column.type not in LARGE_TYPES:
        return 0
    ends = (offsets_of(chunk)[[0, -1]] for chunk in _chunks(column))
    return sum(int(last) - int(first) for first, last in ends)


def value_bytes(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return the size of each value of a `string` or `binary` column."""
    return np.concatenate(
        [np.empty(0, np.int32), *(np.diff(offsets_of(chunk)) for chunk in column.chunks)]
    )


def view_images(column: Column, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """View the bytes of a `binary` column as images, (rows, *shape) uint8.

    Raises:
        ValueError: a value is not an image of this shape, or as `offsets_and_data`.
    """
    if not len(column):
        return np.empty((0, *shape), np.uint8)
    offsets, data = offsets_and_data(column)
    wrong = np.flatnonzero(np.diff(offsets) != np.prod(shape))
    if len(wrong):
        num_bytes = offsets[wrong[0] + 1] - offsets[wrong[0]]
        raise ValueError(f"image {wrong[0]} has {num_bytes} bytes; its shape is {shape}")
    return data.reshape(len(column), *shape)


def update_digest(digest: Any, table: pa.Table) -> None:
    """Feed all values of a table to a hashlib digest, whatever the chunks of its columns."""
    for part in iter_slices(table):
        digest.update(json.dumps([column.to_pylist() for column in part.columns]).encode())


def iter_slices(table: pa.Table) -> Iterator[pa.Table]:
    """Yield slices of a table that are small enough to become Python objects."""
    for start in range(0, table.num_rows, SLICE_ROWS):
        yield table.slice(start, SLICE_ROWS)


def iter_rows(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the named columns as tuples of Python objects."""
    for part in iter_slices(table):
        yield from zip(*(part[name].to_pylist() for name in names))
