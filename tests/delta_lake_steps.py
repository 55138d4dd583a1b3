"""What Delta Lake in Spark sees of tables that Halftone wrote, and Halftone of a table of its."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from halftone import arrow, listing
from halftone.listing import ColumnTitles, UnitRemarks
from halftone.preprocess.database_query import plan_query
from halftone.preprocess.spark_table import SparkTable


def steps(session: SparkSession, folder: Path) -> dict[str, Any]:
    """Read the table `folder`/rows; write the table pets.images, and list its images."""
    table = str(folder / "rows")

    def read(version: int) -> list[str]:
        frame = session.read.format("delta").option("versionAsOf", version).load(table)
        return sorted(row.key + row.split for row in frame.select("key", "split").collect())

    result: dict[str, Any] = {"versions": {number: read(number) for number in (0, 1, 11, 12)}}
    try:
        read(13)
    except Exception as error:
        result["version 13"] = str(error)
    session.sql(f"VACUUM delta.`{table}`")
    result["files"] = sorted(
        path.relative_to(folder).as_posix() for path in (folder / "rows").rglob("*.parquet")
    )
    result["history"] = session.sql(f"DESCRIBE HISTORY delta.`{table}`").count()

    session.sql(f"CREATE DATABASE pets LOCATION '{folder}/pets'")
    session.sql(
        "CREATE TABLE pets.images (path STRING, label STRING) USING delta "
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    )
    rows = "('1.jpg', 'cat'), ('2.jpg', 'dog'), ('3.jpg', 'cat')"
    session.sql(f"INSERT INTO pets.images VALUES {rows}")
    for name in ("pets.images", f"delta.`{folder}/pets/images`"):
        query = SparkTable(f"table:{name}")
        plan = plan_query(session, query, "/images", ColumnTitles(), str(folder / "query"))
        result[name.partition(".")[0]] = sorted(
            row
            for unit in plan.units.to_pylist()
            for part in listing.list_unit(plan, UnitRemarks(), **unit)
            for row in arrow.iter_rows(part, "path", "label")
        )
    return result
