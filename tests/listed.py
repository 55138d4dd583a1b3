"""List images with all units in this process, as the tasks of Spark do."""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple, Optional

import pyarrow as pa

from halftone import arrow, listing
from halftone.listing import LISTED, ArchiveSettings, ListingPlan, ListingSummary, UnitRemarks

IGNORED = ArchiveSettings("ignore")


class Listed(NamedTuple):
    rows: pa.Table  # LISTED, sorted by path, or in the order of the table
    summary: ListingSummary
    num_units: int

    @property
    def paths(self) -> list[str]:
        """The paths of the images."""
        return [row["path"] for row in self.rows.to_pylist() if not row["reason"]]

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """The path and the detail of each image that is listed as unreadable."""
        rows = [row for row in self.rows.to_pylist() if row["reason"]]
        assert {row["reason"] for row in rows} <= {"unreadable", "unlabelled"}
        return [(row["path"], row["detail"]) for row in rows]

    def values(self, *names: str) -> list[tuple[object, ...]]:
        return list(arrow.iter_rows(self.rows, *names))


def list_images(
    root: str,
    table_url: Optional[str] = None,
    suffixes: Sequence[str] = ("jpg", "png"),
    label_column: Optional[str] = None,
    boxes: bool = False,
    archives: ArchiveSettings = IGNORED,
) -> Listed:
    plan = listing.plan_listing(
        root, table_url, suffixes, label_column=label_column, boxes=boxes, archives=archives
    )
    sent = pickle.dumps(plan.without_units())
    tables, merged = [arrow.empty_table(LISTED)], UnitRemarks()
    units = deque(plan.units.to_pylist())
    num_units = len(units)
    while units:
        unit = units.popleft()
        remarks = UnitRemarks()
        received: ListingPlan = pickle.loads(sent)
        for table in listing.list_unit(received, remarks, **unit):
            assert table.schema == LISTED
            assert table.num_rows <= 65_536
            tables.append(table)
        merged.merge(UnitRemarks.from_json(remarks.to_json()))
        if not units and plan.units.num_rows == num_units:
            plan = listing.add_archives(plan, [merged])
            units += plan.units.to_pylist()[num_units:]
    rows = pa.concat_tables(tables)
    assert rows.num_rows == merged.num_images + merged.num_unreadable
    summary = listing.summarise_listing(plan, merged)
    repeated = [path for path, num in Counter(rows["path"].to_pylist()).items() if num > 1]
    if repeated:
        raise listing.repeated_paths_error(plan, len(repeated), repeated[0])
    if table_url is None:
        order = sorted(range(rows.num_rows), key=rows["path"].to_pylist().__getitem__)
        rows = arrow.take_rows(rows, order)
    return Listed(rows, summary, plan.units.num_rows)
