"""Write corrections.csv: the catalogue of all images, with suggestions that a person may accept.

`halftone.listing.corrections` reads it. It has a row for each image that preprocess lists, also for
those that were not judged, as a catalogue replaces the listing of the folder. Spark joins the
listing with the issues; the one task that has all rows in order writes the file piece by piece.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.config import Config
from halftone.dataset import schema
from halftone.label_errors.findings import CorrectionsFile
from halftone.label_errors.ranking import (
    IS_CONFIDENT,
    LABEL_PROBABILITY,
    RANK,
    SUGGESTED_PROBABILITY,
)
from halftone.listing import (
    ACCEPT,
    GROUP,
    SUGGESTED_LABEL,
    ListingPlan,
    UnitRemarks,
    list_unit,
    plan_configured,
)
from halftone.preprocess.assignment import find_labels
from halftone.preprocess.listing_parts import find_archives
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import (
    build_table,
    create_frame,
    create_url_frame,
    expand_rows,
    map_tables,
)

_LISTED = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in (schema.KEY, schema.PATH, schema.LABEL)),
        *(pa.field(name, pa.string()) for name in (GROUP, schema.SPLIT)),
    ]
)
_ISSUES = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(RANK, pa.int64()),
        pa.field(SUGGESTED_LABEL, pa.string()),
        pa.field(LABEL_PROBABILITY, pa.float32()),
        pa.field(SUGGESTED_PROBABILITY, pa.float32()),
    ]
)
_COPIES = pa.schema(
    [pa.field("copy", pa.string()), pa.field("original", pa.string())]  # keys of images
)
_WRITTEN = pa.schema(
    [
        pa.field("rows", pa.int64()),
        pa.field("suggestions", pa.int64()),
        pa.field("digest", pa.string()),
    ]
)
_NO_RANK = 2**63 - 1  # sorts images without a suggestion after the others


def write_corrections(
    spark: SparkSession,
    config: Config,
    ranked_files: Sequence[str],
    duplicates_files: Sequence[str],
    url: str,
) -> CorrectionsFile:
    """Write the file.

    Args:
        config: the config that the images were listed with.
        ranked_files: URLs of LABEL_ERRORS.
        duplicates_files: URLs of schema.DUPLICATES of the datasets of all folds. An image with the
            same bytes as an issue gets the same suggestion: the same bytes under two labels would
            be a conflict.
        url: of the file to write.
    """
    preprocess = config.preprocess
    root = storage.normalise_url(str(config.paths.images))
    plan = plan_configured(root, preprocess)
    plan = find_archives(lambda: spark, plan)
    units = create_frame(spark, plan.units, plan.units.num_rows)
    list_images = partial(_list_unit, plan.without_units(), preprocess.label_from)
    listed = expand_rows(units, list_images, _LISTED)
    issues = expand_rows(create_url_frame(spark, ranked_files), _read_issues, _ISSUES)
    if duplicates_files:
        copies = expand_rows(create_url_frame(spark, duplicates_files), _read_copies, _COPIES)
        issues = _add_copies(issues, copies)
    rows = listed.join(issues, schema.KEY, "left").fillna({RANK: _NO_RANK})
    in_order = rows.repartition(1).sortWithinPartitions(RANK, schema.PATH)
    # Of a table, the columns that decide about splits; a folder has none.
    columns = [GROUP, schema.SPLIT] if plan.table_url is not None else []
    write = partial(_write_csv, url, columns)
    progress = ActionProgress("label errors", "write the catalogue of corrections")
    (row,) = collect_rows(map_tables(in_order, write, _WRITTEN), progress)
    return CorrectionsFile(rows=row.rows, suggestions=row.suggestions, digest=row.digest)


def file_digest(url: str) -> str:
    """Return the digest of a file of any size.

    Raises:
        FileNotFoundError: there is no such file.
    """
    digest = hashlib.blake2b(digest_size=16)
    with storage.open_file(url) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _list_unit(plan: ListingPlan, label_from: str, unit: int, arguments: str) -> Iterator[pa.Table]:
    for images in list_unit(plan, UnitRemarks(), unit, arguments):
        paths = images[schema.PATH].to_pylist()
        columns = [
            arrow.string_array([storage.join(plan.root, path) for path in paths]),
            images[schema.PATH],
            arrow.string_array(find_labels(images, label_from, plan.has_labels)),
            *(images[name] for name in (GROUP, schema.SPLIT)),
        ]
        yield pa.table(columns, schema=_LISTED)


def _read_issues(url: str) -> Iterator[pa.Table]:
    rows = storage.read_table(url, [*_ISSUES.names, IS_CONFIDENT])
    is_issue = [bool(value) for value in rows[IS_CONFIDENT].to_pylist()]
    numbers = [number for number, flag in enumerate(is_issue) if flag]
    yield arrow.take_rows(rows.select(_ISSUES.names), numbers)


def _read_copies(url: str) -> Iterator[pa.Table]:
    rows = storage.read_table(url, [schema.PATH, schema.KEPT_PATH])
    yield rows.rename_columns(_COPIES.names)


def _add_copies(issues: DataFrame, copies: DataFrame) -> DataFrame:
    """Return _ISSUES with those of images that are left out as copies of issues."""
    ranks = issues.select(schema.KEY, RANK)
    of_copies = copies.join(ranks, copies["original"] == ranks[schema.KEY]).select("copy", RANK)
    # Several folds may list the same copy.
    by_key = ranks.union(of_copies).groupBy(schema.KEY).min(RANK).toDF(schema.KEY, RANK)
    return by_key.join(issues.drop(schema.KEY), RANK).select(*_ISSUES.names)


def _write_csv(url: str, columns: Sequence[str], tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Write all rows of a partition to one CSV file; yield _WRITTEN."""
    num_rows = num_suggestions = 0
    digest = hashlib.blake2b(digest_size=16)
    header = [schema.PATH, schema.LABEL, *columns, SUGGESTED_LABEL, ACCEPT]
    header += [LABEL_PROBABILITY, SUGGESTED_PROBABILITY, RANK]
    with storage.open_new_file(url) as file:

        def write(rows: Sequence[Sequence[object]]) -> None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            piece = text.getvalue().encode()
            digest.update(piece)
            file.write(piece)

        write([header])
        for table in tables:
            lines = [_format_row(row, columns) for row in table.to_pylist()]
            write(lines)
            num_rows += len(lines)
            num_suggestions += sum(rank != _NO_RANK for rank in table[RANK].to_pylist())
    yield build_table([(num_rows, num_suggestions, digest.hexdigest())], _WRITTEN)


def _format_row(row: dict[str, object], columns: Sequence[str]) -> list[object]:
    cells = [row[name] for name in (schema.PATH, schema.LABEL, *columns)]
    if row[RANK] == _NO_RANK:
        return [*cells, "", "", "", "", ""]
    probabilities = [f"{row[name]:.4f}" for name in (LABEL_PROBABILITY, SUGGESTED_PROBABILITY)]
    return [*cells, row[SUGGESTED_LABEL], "", *probabilities, row[RANK]]
