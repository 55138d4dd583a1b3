"""A catalogue that Spark reads: the result of an SQL query, by JDBC, or a table that it knows.

For a query, Spark's JVM needs the jar of the database's driver. The rows are written to Parquet
files of the staging folder first, so that they are read once, and all after it sees the same rows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, Optional, Union

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from halftone import printable, storage
from halftone.config import PreprocessSettings
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing import TABLE_COLUMNS, ColumnTitles, ListingPlan, find_columns, plan_listing
from halftone.preprocess.listing_parts import PartWriter
from halftone.preprocess.spark_table import SparkTable
from halftone.spark.actions import ActionProgress, collect_rows, parse_worker_error
from halftone.spark.frames import build_table, map_tables, partition_number
from halftone.url_schemes import TABLE_PREFIX

FOLDER = "query"  # below the staging folder
USER_VARIABLE, PASSWORD_VARIABLE = "HALFTONE_JDBC_USER", "HALFTONE_JDBC_PASSWORD"
# Spark finds a driver that is none of these only in a jar on the JVM's own class path.
_DRIVERS = {
    "h2": "org.h2.Driver",
    "mariadb": "org.mariadb.jdbc.Driver",
    "mysql": "com.mysql.cj.jdbc.Driver",
    "oracle": "oracle.jdbc.OracleDriver",
    "postgresql": "org.postgresql.Driver",
    "redshift": "com.amazon.redshift.Driver",
    "snowflake": "net.snowflake.client.jdbc.SnowflakeDriver",
    "sqlite": "org.sqlite.JDBC",
    "sqlserver": "com.microsoft.sqlserver.jdbc.SQLServerDriver",
}
# Rows that the driver fetches at once; PostgreSQL's holds the whole result without it.
_FETCH_ROWS = 10_000
_NO_DRIVER = re.compile(r"ClassNotFoundException|No suitable driver")
_SQL_TYPES = {pa.string(): "STRING", pa.int64(): "BIGINT", pa.float64(): "DOUBLE"}
_FILES = pa.schema([pa.field("url", pa.string()), pa.field("rows", pa.int64())])


class DatabaseQuery(NamedTuple):
    url: str  # jdbc:...
    query: str

    @property
    def without_rows(self) -> str:
        return f"{self.url}: preprocess.catalogue_query returns no rows"

    def open_frame(self, session: SparkSession) -> DataFrame:
        """Return the result of a query, without running it.

        Raises:
            InputError: there is no driver, or the database refuses the connection or the query.
        """
        kind = self.url.split(":")[1]
        options = {"url": self.url, "query": self.query, "fetchsize": str(_FETCH_ROWS)}
        if kind in _DRIVERS:
            options["driver"] = _DRIVERS[kind]
        for name, variable in (("user", USER_VARIABLE), ("password", PASSWORD_VARIABLE)):
            if variable in os.environ:
                options[name] = os.environ[variable]
        try:
            frame = session.read.format("jdbc").options(**options).load()
            frame.columns  # noqa: B018 - Spark Connect asks the database only now
            return frame
        except (Py4JJavaError, PySparkException) as error:
            message = parse_worker_error(error)
            if _NO_DRIVER.search(str(error)):
                raise InputError(
                    f"{self.url}: Spark has no driver for {kind} ({message}); give the jar of its "
                    "driver in spark.jars or spark.jars.packages"
                ) from None
            raise InputError(
                f"{self.url}: {message}; check preprocess.catalogue, preprocess.catalogue_query, "
                f"and {USER_VARIABLE} and {PASSWORD_VARIABLE} in the environment"
            ) from None


def find_query(settings: PreprocessSettings) -> Optional[Union[DatabaseQuery, SparkTable]]:
    """Return what Spark reads the list of images from; None if a table or a folder has it."""
    if settings.catalogue is None:
        return None
    if settings.catalogue.startswith(TABLE_PREFIX):
        return SparkTable(settings.catalogue)
    if settings.catalogue_query is None:
        return None
    return DatabaseQuery(settings.catalogue, settings.catalogue_query)


def plan_query(
    session: SparkSession,
    query: Union[DatabaseQuery, SparkTable],
    root: str,
    titles: ColumnTitles,
    folder: str,
) -> ListingPlan:
    """Read the rows of a query or a table, and plan to list the images that its rows name.

    Args:
        root: the folder of images.
        titles: the name of the column of labels.
        folder: URL of a folder for the rows, whose old content is removed.

    Raises:
        InputError: Spark has no driver for the database, the database refuses the query, Spark has
            no such table, or there are no rows, or other columns than those of images.
    """
    frame = query.open_frame(session)
    known = find_columns(query.url, frame.columns, titles)
    storage.remove(folder)
    names = list(known.by_index.values())
    rows = _select_known(frame, known.by_index)
    types = {field.name: field.type for field in TABLE_COLUMNS}
    columns = pa.schema([(name, types.get(name, pa.string())) for name in names])
    files = collect_rows(
        map_tables(rows, partial(_write_rows, folder, columns), _FILES),
        ActionProgress("list", f"query {printable.escape(query.url)}"),
    )
    if not sum(file.rows for file in files):
        raise InputError(query.without_rows)
    plan = plan_listing(root, folder, ())
    return plan._replace(
        table_url=query.url,
        has_labels=schema.LABEL in names,
        unknown_columns=tuple(known.unknown),
        notes=tuple(note.replace(folder, query.url) for note in plan.notes),
    )


def _select_known(frame: DataFrame, by_index: dict[int, str]) -> DataFrame:
    """Return the columns of a table of images, with their names and types."""
    types = {field.name: _SQL_TYPES[field.type] for field in TABLE_COLUMNS}
    numbered = frame.toDF(*(f"c{index}" for index in range(len(frame.columns))))
    return numbered.selectExpr(
        *(f"CAST(c{i} AS {types.get(name, 'STRING')}) AS `{name}`" for i, name in by_index.items())
    )


def _write_rows(folder: str, columns: pa.Schema, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Write the rows of a partition; runs in a worker."""
    parts, num_rows = PartWriter(folder, partition_number()), 0
    for table in tables:
        parts.add(table.select(columns.names))
        num_rows += table.num_rows
    parts.flush()
    yield build_table([(url, num_rows * (n == 0)) for n, url in enumerate(parts.urls)], _FILES)
