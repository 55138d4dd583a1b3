"""Find the work of a run by comparing the images of a folder with those that are known.

Spark joins both by their keys, see `comparison`. Workers write the images that do not stay as they
are into files below the staging folder, and the driver holds only their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess import comparison
from halftone.preprocess.change_files import (
    CHANGES,
    HASH_RANGE,
    TOTALS,
    ChangeTotal,
    frame_of_changes,
    frame_of_urls,
    merge_totals,
    sum_hashes,
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
from halftone.preprocess.entries import ENTRIES, FILE, KEPT_KEY, KNOWN
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, map_tables

# A worker holds the images of a partition that have changed, in about 50 MB.
_PARTITION_ROWS = 100_000
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
    num_partitions = _count_partitions(max(num_entries, num_known))
    change = comparison.compare_sql(retry_rejects=retry_rejects, prune=prune, can_move=can_move)
    joined = _join_by_key(entries, known, num_partitions)
    changes = joined.selectExpr(*_change_columns(change)).filter(f"{CHANGE} IS NOT NULL")
    rows = _write_changes(session, changes, storage.join(folder, "compared"))
    needs_decision = _need_duplicates_decision(merge_totals(rows))
    if needs_decision:
        duplicates = _decide_duplicates(session, rows)
        rows += _write_changes(session, duplicates, storage.join(folder, "duplicates"))
    totals = merge_totals(rows)
    effects = comparison.find_effects(
        duplicates_decided=needs_decision,
        conflicts_read_again=_are_conflicts_read_again(totals, conflict_labels),
    )
    urls = _list_urls(rows)
    notes = _write_notes(session, urls, totals, effects, storage.join(folder, "notes"))
    return build_delta(urls, totals, effects, notes)


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


def _join_by_key(entries: DataFrame, known: DataFrame, num_partitions: int) -> DataFrame:
    """Join ENTRIES and KNOWN; names of KNOWN that ENTRIES has too get KNOWN_PREFIX."""
    columns = [
        f"`{name}` AS `{KNOWN_PREFIX}{name}`"
        if name in ENTRIES.names and name != schema.KEY
        else f"`{name}`"
        for name in KNOWN.names
    ]
    return entries.repartition(num_partitions, schema.KEY).join(
        known.selectExpr(*columns).repartition(num_partitions, schema.KEY),
        schema.KEY,
        "full_outer",
    )


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


def _write_changes(session: SparkSession, changes: DataFrame, folder: str) -> list[Row]:
    """Write CHANGES into files in `folder`; return rows of TOTALS."""
    totals = map_tables(changes, partial(write_changes, folder), TOTALS)
    return collect_rows(session, totals, _COMPARE)


def _list_urls(rows: Iterable[Row]) -> list[str]:
    return sorted({row.url for row in rows})


def _need_duplicates_decision(totals: Mapping[str, ChangeTotal]) -> bool:
    return any(name in totals for name in comparison.UNDECIDED_DUPLICATES) and any(
        name in totals for name in comparison.KEPT_ROW_CHANGES
    )


def _decide_duplicates(session: SparkSession, rows: Sequence[Row]) -> DataFrame:
    """Return CHANGES of the duplicates that do not stay as they are.

    Args:
        rows: of TOTALS, of the comparison.
    """
    urls, totals = _list_urls(rows), merge_totals(rows)
    duplicates, kept = (
        frame_of_changes(session, urls, names, CHANGES)
        for names in (comparison.UNDECIDED_DUPLICATES, comparison.KEPT_ROW_CHANGES)
    )
    num_partitions = _count_partitions(sum(total.num_images for total in totals.values()))
    kept = kept.selectExpr(f"{schema.KEY} AS {KEPT_KEY}", f"{CHANGE} AS {_KEPT_CHANGE}")
    joined = duplicates.repartition(num_partitions, KEPT_KEY).join(
        kept.repartition(num_partitions, KEPT_KEY), KEPT_KEY, "left"
    )
    names = [f"`{name}`" for name in CHANGES.names if name != CHANGE]
    change = f"{comparison.decide_duplicate_sql(_KEPT_CHANGE)} AS {CHANGE}"
    return joined.selectExpr(*names, change).filter(f"{CHANGE} IS NOT NULL")


_KEPT_CHANGE = "kept_change"


def _are_conflicts_read_again(totals: Mapping[str, ChangeTotal], conflict_labels: str) -> bool:
    if comparison.CONFLICT_READ_AGAIN in totals:
        return True
    return comparison.LISTED_CONFLICT in totals and (
        any(change in totals for change in comparison.CONFLICT_CAUSES)
        or digest_conflicts(totals) != conflict_labels
    )


def _write_notes(
    session: SparkSession,
    urls: Sequence[str],
    totals: Mapping[str, ChangeTotal],
    effects: Mapping[str, Effect],
    folder: str,
) -> dict[int, NoteCounts]:
    """Write ROW_NOTES of each file that has some into `folder`; return their counts by file.

    Args:
        urls: of files of CHANGES.
        totals: by change, as `effects`.
    """
    notes = {change: effects[change].note for change in totals if effects[change].note}
    num_notes = sum(totals[change].num_images for change in notes)
    if not num_notes:
        return {}
    found = map_tables(frame_of_urls(session, urls), partial(find_notes, notes), FILE_NOTES)
    by_file = found.repartition(_count_partitions(num_notes), FILE)
    by_file = by_file.sortWithinPartitions(FILE, ROW_NUMBER)
    counts = map_tables(by_file, partial(write_notes, folder), NOTE_COUNTS)
    rows = collect_rows(session, counts, _COMPARE)
    return {file: NoteCounts(*values) for file, *values in sorted(rows)}
