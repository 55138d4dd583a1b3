"""DataFrames of Arrow tables, and the Arrow UDFs that work on them.

The same code runs on classic Spark, on Spark Connect and, for few rows, without Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Callable, Optional, TypeVar, Union, cast, overload

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow
from halftone.spark.connect import is_connect
from halftone.spark.local_frame import LocalFrame
from halftone.spark.worker import ArrowFunction, TableFunction
from halftone.storage import clients

_SPARK_TYPES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.list_(pa.string()): "array<string>",
    pa.list_(pa.int64()): "array<bigint>",
    pa.list_(pa.float64()): "array<double>",
}
URL = "url"
URLS = pa.schema([pa.field(URL, pa.string())])
# Of a DataFrame of files that are read: more tasks would not end sooner.
MAX_READ_TASKS = 2000
Frame = Union[DataFrame, LocalFrame]
AnyFrame = TypeVar("AnyFrame", bound=Frame)
RowFunction = Callable[..., Iterable[Sequence[Any]]]


def spark_schema(schema: pa.Schema) -> str:
    """Return an Arrow schema in Spark's language of data definitions."""
    return ", ".join(f"`{field.name}` {_SPARK_TYPES[field.type]}" for field in schema)


@overload
def create_frame(session: SparkSession, table: pa.Table, num_partitions: int) -> DataFrame: ...
@overload
def create_frame(
    session: Optional[SparkSession], table: pa.Table, num_partitions: int
) -> Frame: ...


def create_frame(session: Optional[SparkSession], table: pa.Table, num_partitions: int) -> Frame:
    """Return a frame of a small table that the driver holds.

    Args:
        session: None: this process does what is done with the frame; see `LocalFrame`.
        num_partitions: the rows are spread evenly over so many tasks, at most one for each row.
    """
    if session is None:
        return LocalFrame(lambda: [table], table.schema)
    rows = list(arrow.iter_rows(table, *table.column_names))
    # Spark Connect makes Arrow data of the rows, which checks their types anyway.
    unverified = {} if is_connect(session) else {"verifySchema": False}
    frame = session.createDataFrame(rows, spark_schema(table.schema), **unverified)
    num_partitions = min(num_partitions, len(rows))
    if num_partitions == 1:
        return frame.coalesce(1)  # to merge partitions needs no shuffle
    return frame.repartition(max(1, num_partitions))  # no rows give no task


def url_table(urls: Iterable[str]) -> pa.Table:
    """Return URLS."""
    return build_table([(url,) for url in urls], URLS)


@overload
def create_url_frame(
    session: SparkSession, urls: Iterable[str], num_partitions: int = MAX_READ_TASKS
) -> DataFrame: ...
@overload
def create_url_frame(
    session: Optional[SparkSession], urls: Iterable[str], num_partitions: int = MAX_READ_TASKS
) -> Frame: ...


def create_url_frame(
    session: Optional[SparkSession], urls: Iterable[str], num_partitions: int = MAX_READ_TASKS
) -> Frame:
    """Return a frame of URLS; see `create_frame`."""
    return create_frame(session, url_table(urls), num_partitions)


def partition_number() -> int:
    """Return the number of the partition that the worker works on; 0 outside of a task."""
    context = TaskContext.get()
    return context.partitionId() if context else 0


def group_rows(frame: AnyFrame, num_partitions: int, *columns: str) -> AnyFrame:
    """Sort rows by columns, and put those with the same value of the first into one partition."""
    if isinstance(frame, LocalFrame):
        return cast(AnyFrame, frame.sort(columns))
    groups = frame.repartition(num_partitions, columns[0])
    return cast(AnyFrame, groups.sortWithinPartitions(*columns))


def sort_rows(frame: AnyFrame, num_partitions: int, column: str) -> AnyFrame:
    """Sort rows by a column; a partition has the values that follow those of the one before."""
    if isinstance(frame, LocalFrame):
        return cast(AnyFrame, frame.sort([column]))
    # A single partition needs no samples of the values.
    parts = (
        frame.repartition(1)
        if num_partitions == 1
        else frame.repartitionByRange(num_partitions, column)
    )
    return cast(AnyFrame, parts.sortWithinPartitions(column))


def union_frames(first: Frame, second: Frame) -> Frame:
    """Return the rows of two frames of the same columns, of the same kind."""
    if isinstance(first, LocalFrame):
        return first.union(cast(LocalFrame, second))
    return first.union(cast(DataFrame, second))


def map_tables(
    frame: AnyFrame, function: TableFunction, schema: pa.Schema, *, barrier: bool = False
) -> AnyFrame:
    """Return the frame that `function` makes of each partition, in a Python worker.

    Args:
        function: gets the rows of a partition in tables of some thousand rows, and yields tables of
            `schema`. It can be pickled. Spark may call it more than once for a partition.
        barrier: run all tasks at the same time.
    """
    if isinstance(frame, LocalFrame):
        return cast(AnyFrame, frame.map_tables(function, schema))
    udf = cast(Any, ArrowFunction(function, schema, clients.client_environment()))
    return cast(AnyFrame, frame.mapInArrow(udf, spark_schema(schema), barrier=barrier))


def map_rows(frame: AnyFrame, function: RowFunction, schema: pa.Schema) -> AnyFrame:
    """Like `map_tables`, with a function of one row.

    Args:
        function: gets the values of a row as keyword arguments; returns rows of `schema`.
    """
    return map_tables(frame, partial(_map_rows, function, schema), schema)


def _map_rows(
    function: RowFunction, schema: pa.Schema, tables: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    for table in tables:
        for row in arrow.iter_rows(table, *table.column_names):
            yield build_table(list(function(**dict(zip(table.column_names, row)))), schema)


def expand_rows(
    frame: AnyFrame, function: Callable[..., Iterable[pa.Table]], schema: pa.Schema
) -> AnyFrame:
    """Like `map_rows`, with a function that yields tables, such as one that reads a file.

    The function may be called in several threads.
    """
    if isinstance(frame, LocalFrame):
        return cast(AnyFrame, frame.expand_rows(function, schema))
    return map_tables(frame, partial(_expand_rows, function), schema)


def _expand_rows(
    function: Callable[..., Iterable[pa.Table]], tables: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    for table in tables:
        for row in arrow.iter_rows(table, *table.column_names):
            yield from function(**dict(zip(table.column_names, row)))


def build_table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Return a table of rows of Python values."""
    if not rows:
        return arrow.empty_table(schema)
    # Not pa.array, which imports pandas.
    columns = (arrow.make_array(values, field.type) for values, field in zip(zip(*rows), schema))
    return pa.table(list(columns), schema=schema)
