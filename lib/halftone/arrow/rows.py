"""Find and select rows, in columns of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone.arrow import arrays
from halftone.arrow.arrays import number_array
from halftone.arrow.columns import (
    LARGE_TYPES,
    Column,
    data_bytes,
    to_numpy,
    value_bytes,
)


def is_in(column: Column, values: Column) -> npt.NDArray[np.bool_]:
    """Return for each value of `column` whether `values` contains it."""
    column, values = _comparable(column, values)
    mask = pc.cast(pc.is_in(column, value_set=values), pa.int8())  # bool arrays are bit-packed
    return np.asarray(to_numpy(mask), np.bool_)


def index_in(column: Column, values: Column) -> npt.NDArray[np.int32]:
    """Return for each value of `column` its first index in `values`, or -1."""
    column, values = _comparable(column, values)
    indices = pc.index_in(column, value_set=values)
    return np.asarray(to_numpy(pc.fill_null(indices, number_array([-1], pa.int32())[0])), np.int32)


def _comparable(column: Column, values: Column) -> tuple[Column, Column]:
    """Return both columns with 64-bit offsets if the hash table of `values` needs them."""
    if data_bytes(values) > arrays.MAX_ARRAY_BYTES:
        return _with_large_type(column), _with_large_type(values)
    return column, values


def dictionary_codes(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return for each value of `column` its number in the order of first occurrence, from 0."""
    encoded = pc.dictionary_encode(widen(column))
    return to_numpy(pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32()))


def widen(column: Column) -> Column:
    """Return a `string` or `binary` column with 64-bit offsets if it has 2 GiB or more.

    For functions of `pyarrow.compute` that collect the values of all chunks.
    """
    return _with_large_type(column) if data_bytes(column) > arrays.MAX_ARRAY_BYTES else column


def _with_large_type(column: Column) -> Column:
    return pc.cast(column, LARGE_TYPES.get(column.type, column.type))


def take_rows(table: pa.Table, row_numbers: Union[Sequence[int], npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of `table` with these numbers, in that order.

    A column of 2 GiB or more has several chunks in the result.
    """
    rows = np.asarray(row_numbers, np.int64)
    if all(_fits_into_one_array(column, rows) for column in table.columns):
        # Not Table.take, which imports pandas.
        return pc.take(table, number_array(rows, pa.int64()))
    return pa.table([_take_in_parts(column, rows) for column in table.columns], schema=table.schema)


def _fits_into_one_array(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> bool:
    """Return whether all values of the column, and its values in these rows, fit into an array."""
    num_bytes = data_bytes(column)
    if num_bytes > arrays.MAX_ARRAY_BYTES:
        return False
    return num_bytes * len(rows) <= arrays.MAX_ARRAY_BYTES or (
        int(value_bytes(column)[rows].sum(dtype=np.int64)) <= arrays.MAX_ARRAY_BYTES
    )


def _take_in_parts(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    """Take rows in parts of less than 2 GiB, without concatenating the chunks of the column."""
    if column.type not in LARGE_TYPES:
        return pc.take(column, number_array(rows, pa.int64()))
    ends = np.cumsum(value_bytes(column)[rows], dtype=np.int64)
    chunk_starts = np.cumsum([0, *map(len, column.chunks)])
    parts: list[pa.Array] = []
    first = 0
    while first < len(rows):
        limit = (ends[first - 1] if first else 0) + arrays.MAX_ARRAY_BYTES
        # At least one row: a single value is smaller than an array may be.
        last = max(first + 1, int(np.searchsorted(ends, limit, "right")))
        parts += _take_from_chunks(column, chunk_starts, rows[first:last]).chunks
        first = last
    return pa.chunked_array(parts, column.type)


def _take_from_chunks(
    column: pa.ChunkedArray, chunk_starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> pa.ChunkedArray:
    """Take rows whose values fit into one array."""
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    bounds = np.searchsorted(ascending, chunk_starts)
    parts = [
        pc.take(chunk, number_array(ascending[low:high] - start, pa.int64()))
        for chunk, start, low, high in zip(column.chunks, chunk_starts, bounds, bounds[1:])
        if low < high
    ]
    positions = np.empty(len(rows), np.int64)
    positions[order] = np.arange(len(rows))
    return pc.take(pa.chunked_array(parts, column.type), number_array(positions, pa.int64()))


def iter_runs(table: pa.Table, name: str) -> Iterator[tuple[int, pa.Table]]:
    """Yield each value of a column of integers, and the consecutive rows that have it."""
    values = to_numpy(table[name])
    starts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist()] if len(values) else []
    for start, end in zip(starts, [*starts[1:], len(values)]):
        yield int(values[start]), table.slice(start, end - start)


def filter_rows(table: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    """Return the rows of `table` where `mask` is true; `table` itself if it is true everywhere."""
    return table if mask.all() else take_rows(table, np.flatnonzero(mask))
