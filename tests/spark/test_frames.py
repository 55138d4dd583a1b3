from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from halftone.spark import frames
from halftone.spark.frames import create_frame, map_rows, map_tables

NUMBERS = pa.schema([pa.field("number", pa.int64()), pa.field("name", pa.string())])
COUNTS = pa.schema([pa.field("rows", pa.int64())])


def numbers(count: int) -> pa.Table:
    return pa.table([range(count), [f"n{n}" for n in range(count)]], schema=NUMBERS)


def count_rows(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield pa.table([[sum(table.num_rows for table in tables)]], schema=COUNTS)


def repeat(number: int, name: str) -> list[tuple[str]]:
    return [(name,)] * number


@pytest.mark.parametrize(
    ("rows", "partitions", "expected"),
    [(0, 4, []), (1, 4, [1]), (10, 3, [3, 3, 4]), (3, 8, [1, 1, 1])],
)
def test_rows_are_spread_evenly(
    any_spark: SparkSession, rows: int, partitions: int, expected: list[int]
) -> None:
    counts = map_tables(create_frame(any_spark, numbers(rows), partitions), count_rows, COUNTS)
    assert sorted(row.rows for row in counts.collect()) == expected


def test_each_row_gives_any_number_of_rows(any_spark: SparkSession) -> None:
    names = map_rows(
        create_frame(any_spark, numbers(4), 2), repeat, pa.schema([pa.field("x", pa.string())])
    )
    assert sorted(row.x for row in names.collect()) == ["n1", "n2", "n2", "n3", "n3", "n3"]


def test_values_of_every_type_arrive(any_spark: SparkSession) -> None:
    values = {
        pa.string(): "ü",
        pa.binary(): b"\0\xff",
        pa.bool_(): True,
        pa.int8(): -1,
        pa.int32(): -(2**31),
        pa.int64(): 2**63 - 1,
        pa.float32(): 0.5,
        pa.float64(): 1e300,
        pa.list_(pa.string()): ["a", "b"],
        pa.list_(pa.int64()): [2**40],
        pa.list_(pa.float64()): [],
    }
    assert set(values) == set(frames._SPARK_TYPES)
    schema = pa.schema([pa.field(f"c{n}", kind) for n, kind in enumerate(values)])
    table = pa.table([[value] for value in values.values()], schema=schema)
    (row,) = map_tables(create_frame(any_spark, table, 1), iter, schema).collect()
    assert list(row) == list(values.values())
