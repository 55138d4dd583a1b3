"""Files of listed images, written and read by workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Callable, Optional

import pyarrow as pa
from pyspark.sql import Row, SparkSession

from halftone import storage
from halftone.dataset import schema
from halftone.listing import ListingPlan, UnitRemarks, add_archives, list_unit, repeated_paths_error
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import (
    Frame,
    RowFunction,
    build_table,
    create_frame,
    group_rows,
    map_rows,
    map_tables,
)
from halftone.spark.local_frame import are_few
from halftone.storage.written_rows import WrittenRows

_PART_ROWS = 1 << 18
_PARTITION_ROWS = 1 << 20
_PATHS = pa.schema([pa.field(schema.PATH, pa.string())])
_NOTED = pa.schema([pa.field("remarks", pa.string())])
_REPEATED = pa.schema([pa.field("num_repeated", pa.int64()), pa.field("first", pa.string())])


def list_units(
    session: Callable[[], SparkSession],
    plan: ListingPlan,
    write_unit: RowFunction,
    results: pa.Schema,
    folder: Optional[str],
) -> tuple[ListingPlan, list[Row]]:
    """List all units, then the archives that they have found. A single unit needs no Spark.

    Args:
        session: returns the SparkSession.
        write_unit: gets a row of `plan.units`; returns rows of `results`.
        folder: of its `PartWriter`; None: no files are written.

    Returns:
        The plan with all units, and what `write_unit` returns of each, in any order.
    """
    rows = _list_some(session, plan, write_unit, results, folder)
    remarks = [UnitRemarks.from_json(row.remarks) for row in rows if not row.error]
    complete = add_archives(plan, remarks)
    num_more = complete.units.num_rows - plan.units.num_rows
    if num_more and len(remarks) == len(rows):
        of_archives = complete._replace(units=complete.units.slice(plan.units.num_rows))
        rows += _list_some(session, of_archives, write_unit, results, folder)
    return complete, rows


def find_archives(session: Callable[[], SparkSession], plan: ListingPlan) -> ListingPlan:
    """Return the plan with units for the archives that its units find."""
    if plan.table_url is not None or plan.archives.use == "ignore":
        return plan
    rows = _list_some(session, plan, partial(_note_archives, plan.without_units()), _NOTED, None)
    return add_archives(plan, [UnitRemarks.from_json(row.remarks) for row in rows])


def _note_archives(plan: ListingPlan, unit: int, arguments: str) -> Iterator[tuple[str]]:
    remarks = UnitRemarks()
    for _ in list_unit(plan, remarks, unit, arguments):
        pass
    yield (remarks.to_json(),)


def _list_some(
    session: Callable[[], SparkSession],
    plan: ListingPlan,
    write_unit: RowFunction,
    results: pa.Schema,
    folder: Optional[str],
) -> list[Row]:
    num_units = plan.units.num_rows
    frame = create_frame(session() if num_units > 1 else None, plan.units, num_units)
    return collect_rows(map_rows(frame, write_unit, results), _list_progress(plan, folder))


def _list_progress(plan: ListingPlan, folder: Optional[str]) -> ActionProgress:
    """Return what to show while units are listed: those that have written a file."""
    num_units = plan.units.num_rows
    description = f"list the images of {plan.root}"
    if folder is None or num_units == 1:
        return ActionProgress("list", description)
    numbers = plan.units["unit"].to_pylist()
    written = WrittenRows({_part_url(folder, unit, 0): 1 for unit in numbers})
    return ActionProgress("list", description, num_units, "parts", written.count)


def _part_url(folder: str, unit: int, number: int) -> str:
    return storage.join(folder, f"part-{unit:06d}-{number:05d}.parquet")


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
            self.urls.append(_part_url(self._folder, self._unit, len(self.urls)))
            storage.write_table(self.urls[-1], pa.concat_tables(self._pending).combine_chunks())
            self._pending.clear()


def check_unique_paths(
    session: Callable[[], SparkSession],
    plan: ListingPlan,
    read_entries: Callable[[Optional[SparkSession]], Frame],
    num_images: int,
) -> None:
    """Raise InputError if a table of images, or an archive, names a path more than once.

    Args:
        session: returns the SparkSession.
        read_entries: returns ENTRIES of all images of the plan, `num_images` rows, see
            `create_frame`.
    """
    if plan.table_url is None and not plan.lists_archives:
        return
    entries = read_entries(None if are_few(num_images) else session())
    paths = map_tables(entries, _select_paths, _PATHS)
    groups = group_rows(paths, -(-num_images // _PARTITION_ROWS), schema.PATH)
    repeated = map_tables(groups, _find_repeated, _REPEATED)
    rows = collect_rows(repeated, ActionProgress("list", "look for repeated paths"))
    if rows:
        num_repeated = sum(row.num_repeated for row in rows)
        raise repeated_paths_error(plan, num_repeated, min(row.first for row in rows))


def _select_paths(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        yield table.select(_PATHS.names)


def _find_repeated(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield a row of _REPEATED if paths of a partition are repeated.

    Args:
        tables: _PATHS, sorted, with all rows of each path.
    """
    num_repeated, first = 0, ""
    sorted_paths = (path for table in tables for path in table[schema.PATH].to_pylist())
    for path, rows in groupby(sorted_paths):
        if sum(1 for _ in rows) > 1:
            num_repeated, first = num_repeated + 1, first or path
    if num_repeated:
        yield build_table([(num_repeated, first)], _REPEATED)
