"""Find the work of a run by comparing the images of a folder with those that are known.

Spark pairs them by their keys, see `comparison`. Workers write the images that do not stay as they
are into files below the staging folder, and the driver holds only their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
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
from halftone.preprocess.row_hashes import HASH_RANGE, sum_hashes
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_url_frame, map_tables, url_table
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
_LABEL_DIGEST = pa.schema([pa.field("num_labels", pa.int64()), pa.field("digest", pa.string())])


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
        conflict_labels: `digest_labels` of the conflicts of the previous version.

    Raises:
        RunError: a Spark task failed.
    """
    storage.remove(folder)
    num_partitions = _count_partitions(num_entries + num_known)
    change = comparison.compare_sql(retry_rejects=retry_rejects, prune=prune, can_move=can_move)
    pairs = _pair_by_key(entries, known, num_partitions)
    changes = pairs.selectExpr(*_change_columns(change)).filter(f"{CHANGE} IS NOT NULL")
    totals = map_tables(changes, partial(write_changes, storage.join(folder, "compared")), TOTALS)
    rows = collect_rows(session, totals, _COMPARE)
    return decide_changes(session, rows, folder, conflict_labels)


def decide_changes(
    session: SparkSession, rows: Sequence[Any], folder: str, conflict_labels: str
) -> Delta:
    """Decide what follows from the changes of all images together.

    Args:
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


def digest_labels(session: SparkSession, images: DataFrame) -> str:
    """Digest the keys and labels of images; empty if there are none.

    Args:
        images: with columns key and label, in any order; the listed images that are conflicts.

    Raises:
        RunError: a Spark task failed.
    """
    digests = map_tables(images.select(schema.KEY, schema.LABEL), _hash_labels, _LABEL_DIGEST)
    rows = collect_rows(session, digests, ActionProgress("labels", "digest labels of conflicts"))
    total = sum(int(row.digest, 16) for row in rows) % HASH_RANGE
    return f"{total:032x}" if rows else ""


def _hash_labels(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        if table.num_rows:
            total = sum_hashes(arrow.iter_rows(table, schema.KEY, schema.LABEL))
            yield build_table([(table.num_rows, f"{total:032x}")], _LABEL_DIGEST)


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


def _decide_duplicates(session: SparkSession, rows: Sequence[Any], folder: str) -> list[Any]:
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
    session: SparkSession, rows: Sequence[Any], effects: Mapping[str, Effect], folder: str
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
    session: SparkSession,
    rows: Sequence[Any],
    find: TableFunction,
    found_schema: pa.Schema,
    by: Sequence[str],
    write: TableFunction,
    written_schema: pa.Schema,
) -> list[Any]:
    """Read files of CHANGES with `find`, sort what it yields, and process it with `write`.

    If there are few images, the driver does this in less time than a Spark job takes.

    Args:
        rows: of TOTALS.
        find: gets URLS, yields `found_schema`.
        by: columns to sort by; rows with the same value in the first one stay together.
        write: yields `written_schema`, of which rows are returned.
    """
    urls = list_urls(rows)
    num_images = sum(total.num_images for total in merge_totals(rows).values())
    if num_images <= _PARTITION_ROWS:
        found = pa.concat_tables([arrow.empty_table(found_schema), *find(iter([url_table(urls)]))])
        order = pc.sort_indices(found, sort_keys=[(name, "ascending") for name in by])
        tables = write(iter([arrow.take_rows(found, arrow.to_numpy(order))]))
        return [row for table in tables for row in arrow.iter_rows(table, *written_schema.names)]
    found = map_tables(create_url_frame(session, urls), find, found_schema)
    found = found.repartition(_count_partitions(num_images), by[0]).sortWithinPartitions(*by)
    return collect_rows(session, map_tables(found, write, written_schema), _COMPARE)
