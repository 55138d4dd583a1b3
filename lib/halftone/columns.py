"""Arrow columns from Python lists, and rows by their numbers, without pandas.

`pyarrow.array` and `Table.take` import it where it is installed, the first to see whether it was
given a Series. In a job of a few seconds the half second of that import is felt, in the driver and
in each worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def of_bytes(values: Sequence[bytes]) -> pa.Array:
    """Make a `binary` column; together the values must stay below 2 GiB."""
    return pa.Array.from_buffers(pa.binary(), len(values), [None, *_variable(values)])


def of_text(values: Sequence[str]) -> pa.Array:
    """Make a `string` column."""
    encoded = [value.encode() for value in values]
    return pa.Array.from_buffers(pa.string(), len(values), [None, *_variable(encoded)])


def of_digests(values: Sequence[bytes], width_bytes: int) -> pa.Array:
    """Make a `fixed_size_binary` column of values of `width_bytes` each."""
    kind = pa.binary(width_bytes)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(b"".join(values))])


def of_numbers(values: Union[Sequence[float], npt.NDArray[Any]], kind: pa.DataType) -> pa.Array:
    """Make a column of numbers of a fixed width."""
    numbers: Any = np.asarray(values, dtype=kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(numbers)])


def take(table: pa.Table, rows: Union[Sequence[int], npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of `table` with the numbers `rows`, in that order."""
    numbers = of_numbers(rows, pa.int64())
    arrays = [pc.take(column, numbers) for column in table.columns]  # not the column's own take
    return pa.table(arrays, schema=table.schema)


def nothing(schema: pa.Schema) -> pa.Table:
    """Make a table without rows."""
    return pa.Table.from_batches([], schema)


def _variable(values: Sequence[bytes]) -> list[pa.Buffer]:
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=ends[1:])
    return [pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
