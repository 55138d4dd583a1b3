"""Find the work of a run by comparing the images of a folder with those that are known.

Spark pairs them by their keys, see `comparison`. Workers write the images that do not stay as they
are into files below the staging folder, and the driver holds only their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Optional

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import storage
from halftone.dataset import schema
from halftone.preprocess import comparison
from halftone.preprocess.change_files import (
    CHANGES,
    TOTALS,
    ChangeTotal,
    list_urls,
    merge_totals,
    write_changes,
)
from halftone.preprocess.change_notes import (
    FILE_NOTES,
    NOTE_COUNTS,
    NoteCounts,
    find_notes,
    write_notes,
)
from halftone.preprocess.comparison import CHANGE, KNOWN_PREFIX, Effect
from halftone.preprocess.delta import Delta, build_delta, digest_conflicts
from halftone.preprocess.duplicate_changes import (
    DEPENDENT,
    ROW_KEY,
    find_dependent,
    write_decided,
)
from halftone.preprocess.entries import ENTRIES, FILE, KNOWN
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import create_url_frame, group_rows, map_tables
from halftone.spark.local_frame import are_few
from halftone.spark.worker import TableFunction

# A worker holds the images of a partition that have changed, in about 100 MB.
_PARTITION_ROWS = 200_000
_COMPARE = ActionProgress("compare", "compare the images with the previous version")
# SQL for the value of an image that is not listed, or not known.
_ABSENT = {
    pa.string(): "''",
    pa.int8(): "-1Y",
    pa.int32(): "-1",
    pa.int64(): "-1L",
    pa.float64(): "0D",
}


def find_changes(
    session: SparkSession,
    entries: DataFrame,
    known: DataFrame,
    folder: str,
    num_entries: int,
    num_known: int,
    *,
    retry_rejects: bool = False,
    prune: bool = False,
    can_move: bool = True,
    conflict_labels: str = "",
) -> Delta:
    """Compare the images of a folder with the known ones.

    Args:
        entries: ENTRIES, the images that are in the folder now, each once.
        known: KNOWN, each image once.
        folder: URL of the folder for the files of this comparison; what it holds is removed.
        num_entries: rows of `entries`, as num_known of `known`.
        retry_rejects: read the rejected images again, and none that are new or changed.
        prune: remove images that no longer exist. Without it, known rows, duplicates and rejects
            are kept, except a conflict with an image that exists.
        can_move: whether a row with another label or split can be used again. If not, its image
            is read again.
        conflict_labels: `digest_conflict_labels` of the conflicts of the previous version.

    Raises:
        RunError: a Spark task failed.
    """
    storage.remove(folder)
    num_partitions = _count_partitions(num_entries + num_known)
    change = comparison.compare_sql(retry_rejects=retry_rejects, prune=prune, can_move=can_move)
    pairs = _pair_by_key(entries, known, num_partitions)
    changes = pairs.selectExpr(*_change_columns(change)).filter(f"{CHANGE} IS NOT NULL")
    totals = map_tables(changes, partial(write_changes, storage.join(folder, "compared")), TOTALS)
    rows = collect_rows(totals, _COMPARE)
    return decide_changes(session, rows, folder, conflict_labels)


def decide_changes(
    session: Optional[SparkSession], rows: Sequence[Any], folder: str, conflict_labels: str
) -> Delta:
    """Decide what follows from the changes of all images together.

    Args:
        session: needed unless the changes are few, see `are_few`.
        rows: of TOTALS, of the comparison.
        folder: as in `find_changes`, as `conflict_labels`.
    """
    decided = _decide_duplicates(session, rows, storage.join(folder, "duplicates"))
    rows = [*rows, *decided]
    totals = merge_totals(rows)
    effects = comparison.find_effects(
        duplicates_decided=bool(decided),
        conflicts_read_again=_are_conflicts_read_again(totals, conflict_labels),
    )
    notes = _write_notes(session, rows, effects, storage.join(folder, "notes"))
    return build_delta(list_urls(rows), totals, effects, notes)


def _count_partitions(num_rows: int) -> int:
    return max(1, -(-num_rows // _PARTITION_ROWS))


def _pair_by_key(entries: DataFrame, known: DataFrame, num_partitions: int) -> DataFrame:
    """Return a row for each key: columns of ENTRIES, and of KNOWN; null where there is no image.

    Names of KNOWN that ENTRIES has too get KNOWN_PREFIX. This is a full outer join. Spark would
    give a join at least spark.sql.shuffle.partitions tasks, and shuffle both sides for itself.
    """
    columns = [
        f"`{name}` AS `{KNOWN_PREFIX}{name}`"
        if name in ENTRIES.names and name != schema.KEY
        else f"`{name}`"
        for name in KNOWN.names
    ]
    images = entries.unionByName(known.selectExpr(*columns), allowMissingColumns=True)
    names = [name for name in images.columns if name != schema.KEY]
    by_key = images.repartition(num_partitions, schema.KEY).groupBy(schema.KEY)
    # Of each column a key has one value at most, and nulls, which `max` ignores.
    values = by_key.agg(dict.fromkeys(names, "max"))
    return values.selectExpr(schema.KEY, *(f"`max({name})` AS `{name}`" for name in names))


def _change_columns(change: str) -> list[str]:
    """Return SQL for CHANGES.

    Args:
        change: SQL for the change.
    """
    columns = [
        f"coalesce(`{field.name}`, {_ABSENT[field.type]}) AS `{field.name}`"
        for field in CHANGES
        if field.name != CHANGE
    ]
    return [*columns, f"{change} AS {CHANGE}"]


def _decide_duplicates(
    session: Optional[SparkSession], rows: Sequence[Any], folder: str
) -> list[Any]:
    """Write CHANGES of duplicates into files in `folder`; return rows of TOTALS, if it is needed.

    Args:
        rows: of TOTALS, of the comparison.
    """
    totals = merge_totals(rows)
    for changes in (comparison.UNDECIDED_DUPLICATES, comparison.KEPT_ROW_CHANGES):
        if not any(change in totals for change in changes):
            return []
    return _process_files(
        session, rows, find_dependent, DEPENDENT, [ROW_KEY], partial(write_decided, folder), TOTALS
    )


def _are_conflicts_read_again(totals: Mapping[str, ChangeTotal], conflict_labels: str) -> bool:
    if comparison.CONFLICT_READ_AGAIN in totals:
        return True
    return comparison.LISTED_CONFLICT in totals and (
        any(change in totals for change in comparison.CONFLICT_CAUSES)
        or digest_conflicts(totals) != conflict_labels
    )


def _write_notes(
    session: Optional[SparkSession],
    rows: Sequence[Any],
    effects: Mapping[str, Effect],
    folder: str,
) -> dict[int, NoteCounts]:
    """Write ROW_NOTES of each file that has some into `folder`; return their counts by file.

    Args:
        rows: of TOTALS.
        effects: by change.
    """
    notes = {change: effects[change].note for change in merge_totals(rows) if effects[change].note}
    if not notes:
        return {}
    find, write = partial(find_notes, notes), partial(write_notes, folder)
    by = [FILE, ROW_NUMBER]
    counts = _process_files(session, rows, find, FILE_NOTES, by, write, NOTE_COUNTS)
    return {file: NoteCounts(*values) for file, *values in sorted(counts)}


def _process_files(
    session: Optional[SparkSession],
    rows: Sequence[Any],
    find: TableFunction,
    found_schema: pa.Schema,
    by: Sequence[str],
    write: TableFunction,
    written_schema: pa.Schema,
) -> list[Any]:
    """Read files of CHANGES with `find`, sort what it yields, and process it with `write`.

    Args:
        rows: of TOTALS.
        find: gets URLS, yields `found_schema`.
        by: columns to sort by; rows with the same value in the first one stay together.
        write: yields `written_schema`, of which rows are returned.
    """
    urls = list_urls(rows)
    num_images = sum(total.num_images for total in merge_totals(rows).values())
    files = create_url_frame(None if are_few(num_images) else session, urls)
    found = map_tables(files, find, found_schema)
    groups = group_rows(found, _count_partitions(num_images), *by)
    return collect_rows(map_tables(groups, write, written_schema), _COMPARE)
