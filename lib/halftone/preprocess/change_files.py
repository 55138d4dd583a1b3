"""Files of the images that are new or have changed, written and read by Spark's workers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.listing import MEMBER_PLACE
from halftone.preprocess.comparison import CHANGE, LISTED_CONFLICT
from halftone.preprocess.entries import ENTRIES, FILE, KEPT_KEY
from halftone.preprocess.row_hashes import HASH_RANGE, sum_hashes
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.frames import (
    URL,
    Frame,
    build_table,
    create_url_frame,
    map_tables,
    partition_number,
)

# A listed image, a known image, or both, and the change between them. If the image is not listed,
# or not known, what would come from there is "", -1 or 0.0.
CHANGES = pa.schema(
    [
        *ENTRIES,
        pa.field(KEPT_KEY, pa.string()),
        pa.field(FILE, pa.int32()),
        pa.field(ROW_NUMBER, pa.int64()),
        pa.field(CHANGE, pa.string()),
    ]
)
# All but where a member lies in its archive.
_HASHED = (*(name for name in ENTRIES.names if name != MEMBER_PLACE), CHANGE)


class ChangeTotal(NamedTuple):
    """Sums over the images with one change."""

    num_images: int = 0
    digest: int = 0  # sum of `hash_values` of the images
    label_digest: int = 0  # sum of `hash_values` of key and label, of LISTED_CONFLICT only
    first: tuple[int, int, str] = (2**31 - 1, 0, "")  # file, row and key of the first known image

    def add(self, other: ChangeTotal) -> ChangeTotal:
        return ChangeTotal(
            self.num_images + other.num_images,
            (self.digest + other.digest) % HASH_RANGE,
            (self.label_digest + other.label_digest) % HASH_RANGE,
            min(self.first, other.first),
        )


TOTALS = pa.schema(
    [
        pa.field(URL, pa.string()),  # of the file of CHANGES
        pa.field(CHANGE, pa.string()),
        pa.field("num_images", pa.int64()),
        pa.field("digest", pa.string()),  # hexadecimal, as label_digest
        pa.field("label_digest", pa.string()),
        pa.field(FILE, pa.int32()),
        pa.field(ROW_NUMBER, pa.int64()),
        pa.field(schema.KEY, pa.string()),
    ]
)


def write_changes(folder: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Write the CHANGES of a partition as a file in `folder`; yield TOTALS by change."""
    changes = [table for table in tables if table.num_rows]
    if not changes:
        return
    table = arrow.conform(pa.concat_tables(changes), CHANGES)
    url = storage.join(folder, f"part-{partition_number():06d}.parquet")
    storage.write_table(url, table)
    rows = [
        (url, change, count, f"{digest:032x}", f"{label_digest:032x}", *first)
        for change, (count, digest, label_digest, first) in _sum_changes(table).items()
    ]
    yield build_table(rows, TOTALS)


def _sum_changes(table: pa.Table) -> dict[str, ChangeTotal]:
    return {
        change: _sum_change(
            change,
            arrow.filter_rows(table, arrow.is_in(table[CHANGE], arrow.string_array([change]))),
        )
        for change in sorted(set(table[CHANGE].to_pylist()))
    }


def _sum_change(change: str, images: pa.Table) -> ChangeTotal:
    is_conflict = change == LISTED_CONFLICT
    labels = arrow.iter_rows(images, schema.KEY, schema.LABEL)
    return ChangeTotal(
        images.num_rows,
        sum_hashes(arrow.iter_rows(images, *_HASHED)),
        sum_hashes(labels) if is_conflict else 0,
        min(arrow.iter_rows(images, FILE, ROW_NUMBER, schema.KEY)),
    )


def merge_totals(rows: Iterable[Any]) -> dict[str, ChangeTotal]:
    """Return the total of each change.

    Args:
        rows: of TOTALS.
    """
    totals: dict[str, ChangeTotal] = {}
    for _, change, count, digest, label_digest, *first in rows:
        total = ChangeTotal(count, int(digest, 16), int(label_digest, 16), tuple(first))
        totals[change] = totals.get(change, ChangeTotal()).add(total)
    return totals


def list_urls(rows: Iterable[Any]) -> list[str]:
    """Return the files that were written.

    Args:
        rows: of TOTALS.
    """
    return sorted({url for url, *_ in rows})


def read_changes(
    changes: Collection[str], names: Sequence[str], tables: Iterable[pa.Table]
) -> Iterator[pa.Table]:
    """Yield some columns of the images with some of the changes.

    Args:
        tables: URLS of files of CHANGES.
    """
    wanted = arrow.string_array(sorted(changes))
    for table in tables:
        for (url,) in arrow.iter_rows(table, URL):
            images = storage.read_table(url)
            images = arrow.filter_rows(images, arrow.is_in(images[CHANGE], wanted))
            yield images.select(list(names))


def frame_of_changes(
    session: Optional[SparkSession],
    urls: Sequence[str],
    changes: Collection[str],
    columns: pa.Schema,
) -> Frame:
    """Return some columns of the images with some of the changes.

    Args:
        session: see `create_frame`.
        urls: of files of CHANGES.
    """
    function = partial(read_changes, frozenset(changes), columns.names)
    return map_tables(create_url_frame(session, urls), function, columns)
