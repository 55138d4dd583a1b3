"""Arrow columns from Python values and back, and rows by their numbers, without pandas.

`pyarrow.array`, `pyarrow.scalar`, `to_numpy` and `Table.take` import it where it is installed, some
of them only to see whether they were given a Series. In a job of a few seconds the half second of
that import is felt, in the driver and in each worker.

Millions of images are kept as columns. As Python objects they would take ten times the memory, so
what needs such objects gets them in slices.
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

_SLICE_ROWS = 1 << 16

Column = Union[pa.Array, pa.ChunkedArray]


def make_array(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    """Make a column of text, bytes, digests or numbers."""
    if pa.types.is_string(data_type):
        return string_array(values)
    if pa.types.is_binary(data_type):
        return binary_array(values)
    if pa.types.is_fixed_size_binary(data_type):
        return fixed_binary_array(values, data_type.byte_width)
    return number_array(values, data_type)


def binary_array(values: Sequence[bytes]) -> pa.Array:
    """Make a `binary` column; together the values must stay below 2 GiB."""
    return pa.Array.from_buffers(pa.binary(), len(values), [None, *_variable_width_buffers(values)])


def string_array(values: Sequence[str]) -> pa.Array:
    """Make a `string` column."""
    encoded = [value.encode() for value in values]
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, *_variable_width_buffers(encoded)]
    )


def chunked_string_array(values: Iterable[str]) -> pa.ChunkedArray:
    """Make a `string` column of very many values, which need not be there all at once."""
    rest = iter(values)
    chunks = iter(lambda: list(islice(rest, _SLICE_ROWS)), [])
    return pa.chunked_array([string_array(chunk) for chunk in chunks], pa.string())


def repeat_value(value: pa.Array, count: int) -> pa.Array:
    """Make a column of the one value of `one`, `count` times."""
    return pc.take(value, number_array(np.zeros(count, np.int64), pa.int64()))


def fixed_binary_array(values: Sequence[bytes], width_bytes: int) -> pa.Array:
    """Make a `fixed_size_binary` column of values of `width_bytes` each."""
    kind = pa.binary(width_bytes)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(b"".join(values))])


def number_array(
    values: Union[Sequence[float], npt.NDArray[Any]], data_type: pa.DataType
) -> pa.Array:
    """Make a column of numbers of a fixed width."""
    numbers: Any = np.asarray(values, dtype=data_type.to_pandas_dtype())
    return pa.Array.from_buffers(data_type, len(values), [None, pa.py_buffer(numbers)])


def concat_columns(*parts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put columns of one type behind one another."""
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)


def to_numpy(column: Column) -> npt.NDArray[Any]:
    """Return the values of a column of numbers, of which none is null."""
    kind = column.type.to_pandas_dtype()
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    values = [
        np.frombuffer(chunk.buffers()[1], kind)[chunk.offset : chunk.offset + len(chunk)]
        for chunk in chunks
        if len(chunk)
    ]
    return values[0] if len(values) == 1 else np.concatenate([np.empty(0, kind), *values])


def offsets_and_data(column: Column) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Where each value of a column of text or bytes ends, after a 0, and the values' bytes.

    Without a copy where the column is of one chunk.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return ends - ends[0], np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]


def view_images(column: Column, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Look at a column's bytes as images, (rows, *shape) uint8."""
    if not len(column):
        return np.empty((0, *shape), np.uint8)
    return offsets_and_data(column)[1].reshape(-1, *shape)


def is_in(column: Column, values: Column) -> npt.NDArray[np.bool_]:
    """Say of each value of `column` whether it is one of `values`."""
    found = pc.cast(pc.is_in(column, value_set=values), pa.int8())
    return np.asarray(to_numpy(found), np.bool_)


def index_in(column: Column, values: Column) -> npt.NDArray[np.int32]:
    """Say of each value of `column` where it is first in `values`; -1 where it is not."""
    found = pc.index_in(column, value_set=values)
    return np.asarray(to_numpy(pc.fill_null(found, number_array([-1], pa.int32())[0])), np.int32)


def dictionary_codes(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Number the different values from 0 on; say of each value which it is."""
    encoded = pc.dictionary_encode(column)
    return to_numpy(pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32()))


def update_digest(digest: Any, table: pa.Table) -> None:
    """Let a digest of hashlib's take in all values of a table."""
    for part in iter_slices(table):
        digest.update(json.dumps([column.to_pylist() for column in part.columns]).encode())


def iter_slices(table: pa.Table) -> Iterator[pa.Table]:
    """Cut a table into parts that are small enough to become Python objects."""
    for start in range(0, table.num_rows, _SLICE_ROWS):
        yield table.slice(start, _SLICE_ROWS)


def iter_rows(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of some columns as Python objects, a slice of them at a time."""
    for part in iter_slices(table):
        yield from zip(*(part[name].to_pylist() for name in names))


def take_rows(table: pa.Table, row_numbers: Union[Sequence[int], npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of `table` with the numbers `rows`, in that order."""
    chosen = number_array(row_numbers, pa.int64())
    arrays = [pc.take(column, chosen) for column in table.columns]  # not the column's own take
    return pa.table(arrays, schema=table.schema)


def filter_rows(table: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    """Return the rows of `table` for which `mask` is true; the table itself where it always is."""
    return table if mask.all() else take_rows(table, np.flatnonzero(mask))


def empty_table(schema: pa.Schema) -> pa.Table:
    """Make a table without rows."""
    return pa.Table.from_batches([], schema)


def _variable_width_buffers(values: Sequence[bytes]) -> list[pa.Buffer]:
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=ends[1:])
    return [pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
