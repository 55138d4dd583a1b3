"""Files of listed images, written and read by workers."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import storage
from halftone.dataset import schema
from halftone.listing import ListingPlan, repeated_paths_error
from halftone.spark.actions import ActionProgress, collect_rows

_PART_ROWS = 1 << 18


class PartWriter:
    """Writes the images of a unit of a listing to files of some hundred thousand rows.

    Args:
        folder: URL of the folder for the files of all units.
        unit: its number, which names the files.
    """

    def __init__(self, folder: str, unit: int) -> None:
        self._folder, self._unit = folder, unit
        self._pending: list[pa.Table] = []
        self.urls: list[str] = []  # of the files that are written

    def add(self, table: pa.Table) -> None:
        self._pending.append(table)
        if sum(pending.num_rows for pending in self._pending) >= _PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the images that are in no file yet."""
        if self._pending:
            name = f"part-{self._unit:06d}-{len(self.urls):05d}.parquet"
            self.urls.append(storage.join(self._folder, name))
            storage.write_table(self.urls[-1], pa.concat_tables(self._pending).combine_chunks())
            self._pending.clear()


def check_unique_paths(session: SparkSession, plan: ListingPlan, entries: DataFrame) -> None:
    """Raise InputError if a table of images names a path more than once.

    Args:
        entries: ENTRIES of all images of the plan.
    """
    repeated = entries.groupBy(schema.PATH).count().where("count > 1")
    totals = repeated.selectExpr("count(*) AS paths", f"min({schema.PATH}) AS first")
    (row,) = collect_rows(session, totals, ActionProgress("list", "look for repeated paths"))
    if row.paths:
        raise repeated_paths_error(plan, row.paths, row.first)
