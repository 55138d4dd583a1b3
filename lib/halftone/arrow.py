"""Arrow columns from Python values and back, and row selection, without importing pandas.

In pyarrow 10, `pa.array`, `pa.scalar`, `pa.repeat`, `Array.to_numpy`, `Table.take` and passing a
NumPy array or a Python number to a compute function all import pandas if it is installed, often
only to check whether the argument is a Series. The import takes 0.5 to 0.8 s in the driver and in
each Spark worker, which is noticeable in a job of a few seconds. This module therefore builds
arrays from buffers and calls only those functions of `pyarrow.compute` that do not import pandas.
(`pyarrow.lib.StringBuilder` imports none either, but is private and takes twice the time.)

Millions of images are kept as columns. As Python objects they would take ten times the memory, so
code that needs Python objects gets them in slices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# `string` and `binary` columns have signed 32-bit offsets.
MAX_COLUMN_BYTES = 2**31 - 1
_SLICE_ROWS = 1 << 16

Column = Union[pa.Array, pa.ChunkedArray]


def make_array(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    """Make an array of type string, binary, fixed size binary or of numbers, without nulls."""
    if pa.types.is_string(data_type):
        return string_array(values)
    if pa.types.is_binary(data_type):
        return binary_array(values)
    if pa.types.is_fixed_size_binary(data_type):
        return fixed_binary_array(values, data_type.byte_width)
    return number_array(values, data_type)


def binary_array(values: Sequence[bytes]) -> pa.Array:
    """Make a `binary` array.

    Raises:
        ValueError: the values together have 2 GiB or more.
    """
    return _variable_width_array(values, pa.binary())


def string_array(values: Sequence[str]) -> pa.Array:
    """Make a `string` array.

    Raises:
        ValueError: the values together have 2 GiB or more.
    """
    return _variable_width_array([value.encode() for value in values], pa.string())


def _variable_width_array(values: Sequence[bytes], data_type: pa.DataType) -> pa.Array:
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    if offsets[-1] > MAX_COLUMN_BYTES:
        raise ValueError(f"{offsets[-1]} bytes in one {data_type} column; the limit is 2 GiB")
    # By hand, as pa.array imports pandas.
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(data_type, len(values), buffers)


def chunked_string_array(values: Iterable[str]) -> pa.ChunkedArray:
    """Make a chunked `string` array; the values are consumed one chunk at a time."""
    iterator = iter(values)
    chunks = iter(lambda: list(islice(iterator, _SLICE_ROWS)), [])
    return pa.chunked_array([string_array(chunk) for chunk in chunks], pa.string())


def repeat_value(value: pa.Array, count: int) -> pa.Array:
    """Repeat the only value of the array `value`, `count` times."""
    # Not pa.repeat, which imports pandas.
    return pc.take(value, number_array(np.zeros(count, np.int64), pa.int64()))


def fixed_binary_array(values: Sequence[bytes], width_bytes: int) -> pa.Array:
    """Make a `fixed_size_binary` array of values of `width_bytes` each."""
    # By hand, as pa.array imports pandas.
    buffers = [None, pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(width_bytes), len(values), buffers)


def number_array(
    values: Union[Sequence[float], npt.NDArray[Any]], data_type: pa.DataType
) -> pa.Array:
    """Make an array of numbers of a fixed width."""
    # By hand, as pa.array imports pandas, also for a NumPy array.
    numbers: Any = np.asarray(values, dtype=data_type.to_pandas_dtype())
    return pa.Array.from_buffers(data_type, len(values), [None, pa.py_buffer(numbers)])


def concat_columns(*columns: pa.ChunkedArray) -> pa.ChunkedArray:
    """Concatenate columns of one type."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    return pa.chunked_array(chunks, columns[0].type)


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
        pa.ArrowInvalid: the column has several chunks and 2 GiB or more.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    _, offsets_buffer, data = column.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)
    offsets = offsets[column.offset : column.offset + len(column) + 1]
    return offsets - offsets[0], np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]


def view_images(column: Column, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """View the bytes of a `binary` column as images, (rows, *shape) uint8."""
    if not len(column):
        return np.empty((0, *shape), np.uint8)
    return offsets_and_data(column)[1].reshape(-1, *shape)


def is_in(column: Column, values: Column) -> npt.NDArray[np.bool_]:
    """Return for each value of `column` whether `values` contains it."""
    mask = pc.cast(pc.is_in(column, value_set=values), pa.int8())  # bool arrays are bit-packed
    return np.asarray(to_numpy(mask), np.bool_)


def index_in(column: Column, values: Column) -> npt.NDArray[np.int32]:
    """Return for each value of `column` its first index in `values`, or -1."""
    indices = pc.index_in(column, value_set=values)
    return np.asarray(to_numpy(pc.fill_null(indices, number_array([-1], pa.int32())[0])), np.int32)


def dictionary_codes(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return for each value of `column` its number in the order of first occurrence, from 0."""
    encoded = pc.dictionary_encode(column)
    return to_numpy(pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32()))


def update_digest(digest: Any, table: pa.Table) -> None:
    """Feed all values of a table to a hashlib digest, whatever the chunks of its columns."""
    for part in iter_slices(table):
        digest.update(json.dumps([column.to_pylist() for column in part.columns]).encode())


def iter_slices(table: pa.Table) -> Iterator[pa.Table]:
    """Yield slices of a table that are small enough to become Python objects."""
    for start in range(0, table.num_rows, _SLICE_ROWS):
        yield table.slice(start, _SLICE_ROWS)


def iter_rows(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the named columns as tuples of Python objects."""
    for part in iter_slices(table):
        yield from zip(*(part[name].to_pylist() for name in names))


def take_rows(table: pa.Table, row_numbers: Union[Sequence[int], npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of `table` with these numbers, in that order."""
    # Not Table.take, which imports pandas.
    return pc.take(table, number_array(row_numbers, pa.int64()))


def filter_rows(table: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    """Return the rows of `table` where `mask` is true; `table` itself if it is true everywhere."""
    return table if mask.all() else take_rows(table, np.flatnonzero(mask))


def empty_table(schema: pa.Schema) -> pa.Table:
    """Make a table without rows."""
    # Not schema.empty_table, which imports pandas.
    return pa.Table.from_batches([], schema)
