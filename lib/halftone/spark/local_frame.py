"""Tables of few rows, on which this process works as Spark's workers would.

A Spark job takes some tenths of a second however few rows it has, and the first one of a process
starts a JVM. So steps that only read what is known of the images, not the images, are done here if
there are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Row

from halftone import arrow
from halftone.spark.worker import TableFunction

# Of images. For more, Spark takes less time on 2 cores.
MAX_LOCAL_ROWS = 100_000
_READ_THREADS = 16


def are_few(num_rows: int) -> bool:
    """Return whether this process works on what is known of `num_rows` images."""
    return num_rows <= MAX_LOCAL_ROWS


class LocalFrame:
    """Rows in this process, in one partition; nothing is computed before `collect`.

    Args:
        read_tables: yields tables of `schema`.
    """

    def __init__(self, read_tables: Callable[[], Iterable[pa.Table]], schema: pa.Schema) -> None:
        self.read_tables, self.schema = read_tables, schema

    def map_tables(self, function: TableFunction, schema: pa.Schema) -> LocalFrame:
        def read_tables() -> Iterator[pa.Table]:
            for table in function(iter(self.read_tables())):
                yield arrow.conform(table, schema)

        return LocalFrame(read_tables, schema)

    def expand_rows(
        self, function: Callable[..., Iterable[pa.Table]], schema: pa.Schema
    ) -> LocalFrame:
        """Call the function for several rows at a time, as it reads a file of maybe a store."""

        def read_tables() -> Iterator[pa.Table]:
            names = self.schema.names
            with ThreadPoolExecutor(_READ_THREADS) as pool:
                for table in self.read_tables():
                    rows = (dict(zip(names, row)) for row in arrow.iter_rows(table, *names))
                    for tables in pool.map(lambda row: list(function(**row)), rows):
                        yield from tables

        return LocalFrame(read_tables, schema)

    def sort(self, columns: Sequence[str]) -> LocalFrame:
        def read_tables() -> Iterator[pa.Table]:
            table = arrow.concat_tables(self.read_tables(), self.schema)
            order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in columns])
            yield arrow.take_rows(table, arrow.to_numpy(order))

        return LocalFrame(read_tables, self.schema)

    def union(self, other: LocalFrame) -> LocalFrame:
        return LocalFrame(lambda: [*self.read_tables(), *other.read_tables()], self.schema)

    def collect(self) -> list[Row]:
        row_of = Row(*self.schema.names)
        return [
            row_of(*values)
            for table in self.read_tables()
            for values in arrow.iter_rows(table, *self.schema.names)
        ]
