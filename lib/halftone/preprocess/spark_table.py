"""A catalogue that is a table which Spark knows by name, such as one of Unity Catalog."""

from __future__ import annotations

import re
from typing import NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from halftone.errors import InputError
from halftone.spark.actions import parse_worker_error
from halftone.spark.table_location import SET_UP_DELTA_LAKE
from halftone.url_schemes import TABLE_PREFIX

# What Spark says of delta.`FOLDER` if it does not know the format.
_NO_DELTA_LAKE = re.compile(r"TABLE_OR_VIEW_NOT_FOUND|UNSUPPORTED_DATASOURCE_FOR_DIRECT_QUERY")


class SparkTable(NamedTuple):
    url: str  # table:NAME

    @property
    def without_rows(self) -> str:
        return f"{self.url}: the table has no rows"

    def open_frame(self, session: SparkSession) -> DataFrame:
        """Return the newest version of the table, without reading its rows.

        Raises:
            InputError: Spark has no such table, or may not read it.
        """
        name = self.url.removeprefix(TABLE_PREFIX)
        try:
            frame = session.table(name)
            frame.columns  # noqa: B018 - Spark Connect looks for the table only now
            return frame
        except (Py4JJavaError, PySparkException) as error:
            if name.startswith("delta.`") and _NO_DELTA_LAKE.search(str(error)):
                raise InputError(
                    f"{self.url}: this Spark has no Delta Lake, or there is no such table; "
                    f"{SET_UP_DELTA_LAKE}, or give the folder of the table as "
                    "preprocess.catalogue, which needs none"
                ) from None
            raise InputError(
                f"{self.url}: {parse_worker_error(error)} Check preprocess.catalogue, and whether "
                "this Spark knows the catalogue and may read the table"
            ) from None
