"""Make arrays from Python values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone.arrow.columns import SLICE_ROWS, data_bytes

# What an array of type `string` or `binary` can hold, as its offsets are signed 32-bit numbers.
MAX_ARRAY_BYTES = 2**31 - 1


def make_array(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    """Make an array of type string, binary or bool, of numbers, or of lists of these; no nulls."""
    if pa.types.is_list(data_type):
        return _list_array(values, data_type)
    if pa.types.is_boolean(data_type):
        return pc.cast(number_array(np.array(values, np.int8), pa.int8()), data_type)
    if pa.types.is_string(data_type):
        return string_array(values)
    if pa.types.is_binary(data_type):
        return binary_array(values)
    return number_array(values, data_type)


def _list_array(values: Sequence[Sequence[Any]], data_type: pa.DataType) -> pa.Array:
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    items = make_array([item for value in values for item in value], data_type.value_type)
    return pa.ListArray.from_arrays(number_array(offsets, pa.int32()), items)


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
    check_array_bytes(int(offsets[-1]), data_type)
    # By hand, as pa.array imports pandas.
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(data_type, len(values), buffers)


def check_array_bytes(num_bytes: int, data_type: pa.DataType) -> None:
    if num_bytes > MAX_ARRAY_BYTES:
        raise ValueError(f"{num_bytes} bytes in one {data_type} array; the limit is 2 GiB")


def chunked_string_array(values: Iterable[str]) -> pa.ChunkedArray:
    """Make a chunked `string` array; the values are consumed one chunk at a time."""
    iterator = iter(values)
    chunks = iter(lambda: list(islice(iterator, SLICE_ROWS)), [])
    return pa.chunked_array([string_array(chunk) for chunk in chunks], pa.string())


def repeat_value(value: pa.Array, count: int) -> pa.Array:
    """Repeat the only value of the array `value`, `count` times.

    Raises:
        ValueError: the values are text or bytes and together have 2 GiB or more.
    """
    check_array_bytes(data_bytes(value) * count, value.type)
    # Not pa.repeat, which imports pandas.
    return pc.take(value, number_array(np.zeros(count, np.int64), pa.int64()))


def number_array(
    values: Union[Sequence[float], npt.NDArray[Any]], data_type: pa.DataType
) -> pa.Array:
    """Make an array of numbers of a fixed width.

    Raises:
        ValueError: a value is out of the range of an integer type.
    """
    given = np.asarray(values)
    # By hand, as pa.array imports pandas, also for a NumPy array.
    numbers: Any = given.astype(data_type.to_pandas_dtype(), copy=False)
    if numbers.dtype.kind in "iu" and numbers.dtype != given.dtype:
        wrong = np.flatnonzero(numbers != given)
        if len(wrong):
            raise ValueError(f"{given[wrong[0]]} is not of type {data_type}")
    return pa.Array.from_buffers(data_type, len(numbers), [None, pa.py_buffer(numbers)])


def empty_table(schema: pa.Schema) -> pa.Table:
    """Make a table without rows."""
    # Not schema.empty_table, which imports pandas.
    return pa.Table.from_batches([], schema)
