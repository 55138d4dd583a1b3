"""Where a table that Spark knows by name is stored."""

from __future__ import annotations

import re

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from halftone.errors import InputError
from halftone.spark.actions import parse_worker_error

_DELTA = "delta"
_FOLDER = f"{_DELTA}.`"  # what the name of a folder as a table begins with
# Without Delta Lake, DESCRIBE takes the word DETAIL as the name of a table.
_NO_DETAIL = re.compile(r"TABLE_OR_VIEW_NOT_FOUND\].*`DETAIL`|PARSE_SYNTAX_ERROR")
_NO_FORMAT = re.compile(
    r"DATA_SOURCE_NOT_FOUND|ClassNotFoundException|UNSUPPORTED_DATASOURCE_FOR_DIRECT_QUERY"
)
_NO_TABLE = "TABLE_OR_VIEW_NOT_FOUND"
_VIEW = re.compile(r"is a (?:temp )?view|EXPECT_TABLE_NOT_VIEW|DESCRIBE_DETAIL_VIEW")
SET_UP_DELTA_LAKE = (
    "set spark.jars.packages, spark.sql.extensions and spark.sql.catalog.spark_catalog as Delta "
    "Lake says"
)
_NO_DELTA_LAKE = (
    f"this Spark has no Delta Lake, which says where a table is; {SET_UP_DELTA_LAKE}, or give the "
    "URL of the table's folder"
)


def find_location(session: SparkSession, name: str) -> str:
    """Return the location of a Delta table, as Spark writes it: file:/data/faces, s3a://faces.

    Args:
        session: one that has Delta Lake, classic or of Spark Connect.
        name: of one to three parts, such as main.faces.all; or delta.`URL`.

    Raises:
        InputError: there is no such table, it is a view or of another format, or the session has no
            Delta Lake. The message does not name the table.
    """
    try:
        # This also refuses what is no name, before it is a part of a query.
        _ = session.table(name).columns
    except (Py4JJavaError, PySparkException) as error:
        text = str(error)
        if _NO_FORMAT.search(text) or (name.startswith(_FOLDER) and _NO_TABLE in text):
            raise InputError(_NO_DELTA_LAKE) from None
        raise InputError(
            f"{parse_worker_error(error)} Check the name, and whether this Spark knows the "
            "catalogue and may read the table; or give the URL of the table's folder"
        ) from None
    try:
        (row,) = session.sql(f"DESCRIBE DETAIL {name}").select("format", "location").collect()
    except (Py4JJavaError, PySparkException) as error:
        raise InputError(_describe_refusal(error)) from None
    if row.format != _DELTA or not row.location:
        raise InputError(
            f"is a table of format {row.format} and no Delta table; every dataset of Halftone is "
            "one: give the name of such a table, or the URL of the dataset's folder"
        )
    return str(row.location)


def _describe_refusal(error: Exception) -> str:
    if _NO_DETAIL.search(str(error)):
        return _NO_DELTA_LAKE
    if _VIEW.search(str(error)):
        return (
            "is a view, which has no folder; give the table that the dataset is registered as, or "
            "the URL of the dataset's folder"
        )
    return f"{parse_worker_error(error)} Give the URL of the table's folder"
