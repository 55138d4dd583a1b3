"""Write the tables of rejects, duplicates and near duplicates of a dataset's version.

Each is a DataFrame of what files of earlier steps say, sorted by path, and written by workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple, Optional

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess import row_notes
from halftone.preprocess.decode_block import STATUS, is_decoded, select_rejects
from halftone.preprocess.duplicates import RESOLVED
from halftone.preprocess.entries import DUPLICATE
from halftone.preprocess.similar_images import SIMILAR
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import (
    Frame,
    build_table,
    create_frame,
    expand_rows,
    map_tables,
    partition_number,
    sort_rows,
)

_ROWS_PER_FILE = 500_000
_FILES_PER_TASK = 16
_RESULTS = pa.schema(
    [
        pa.field("number", pa.int64()),  # of the file
        pa.field("path", pa.string()),  # below the dataset's folder
        pa.field(schema.REASON, pa.string()),  # of rejects; else empty
        pa.field("rows", pa.int64()),
        pa.field("first_path", pa.string()),  # of the rows with this reason
        pa.field("first_detail", pa.string()),
    ]
)


class FirstReject(NamedTuple):
    path: str
    reason: str
    detail: str


class SideTable(NamedTuple):
    """The files of a table, and what they hold."""

    files: list[str]  # below the dataset's folder
    num_rows: int
    num_by_reason: Counter[str]  # of rejects
    first: FirstReject  # by path, of rejects


EMPTY_TABLE = SideTable([], 0, Counter(), FirstReject("", "", ""))


def write_side_table(
    rows: Frame,
    table_schema: pa.Schema,
    num_rows: int,
    dataset: str,
    name: str,
    run_name: str,
) -> SideTable:
    """Write rows, sorted by path, to files of the dataset.

    Args:
        rows: of `table_schema`.
        num_rows: the number of rows, at least 1.
        name: of the table and its folder.
        run_name: names the files.
    """
    num_files = -(-num_rows // _ROWS_PER_FILE)
    write = partial(_write_file, table_schema, dataset, f"{name}/{run_name}")
    results = collect_rows(
        map_tables(sort_rows(rows, num_files, schema.PATH), write, _RESULTS),
        ActionProgress("write", f"write the table of {name.replace('_', ' ')}"),
    )
    by_number = sorted(results, key=lambda row: (row.number, row.first_path))
    first = by_number[0]
    num_by_reason: Counter[str] = Counter()
    for row in results:
        num_by_reason[row.reason] += row.rows
    return SideTable(
        list(dict.fromkeys(row.path for row in by_number)),
        sum(num_by_reason.values()),
        num_by_reason,
        FirstReject(first.first_path, first.reason, first.first_detail),
    )


def _write_file(
    table_schema: pa.Schema, dataset: str, prefix: str, tables: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    table = arrow.concat_tables(tables, table_schema).combine_chunks()
    if not table.num_rows:
        return
    number = partition_number()
    path = f"{prefix}-{number:05d}.parquet"
    storage.write_table(storage.join(dataset, path), table)
    has_reasons = schema.REASON in table_schema.names
    reasons = table[schema.REASON].to_pylist() if has_reasons else [""] * table.num_rows
    counts = Counter(reasons)
    first_rows = {reason: reasons.index(reason) for reason in counts}
    rows = [
        (
            number,
            path,
            reason,
            count,
            table[schema.PATH][first_rows[reason]].as_py(),
            table[schema.DETAIL][first_rows[reason]].as_py() if has_reasons else "",
        )
        for reason, count in counts.items()
    ]
    yield build_table(rows, _RESULTS)


# The kinds of files that a table is made of.
_TABLE, _PART, _RESOLVED, _SIMILAR = "table", "part", "resolved", "similar"
_FILES = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("url", pa.string()),
        pa.field("notes", pa.list_(pa.string())),
    ]
)


class TableSources(NamedTuple):
    """The files whose rows become rows of a table."""

    previous: Sequence[tuple[str, Sequence[str]]] = ()  # of the same table, each with its notes
    parts: Sequence[str] = ()  # decode_block.PART
    resolved: Sequence[str] = ()  # duplicates.RESOLVED
    similar: Sequence[str] = ()  # similar_images.SIMILAR

    def read(self, session: Optional[SparkSession], table_schema: pa.Schema) -> Frame:
        """Return the rows of schema.REJECTS, DUPLICATES or NEAR_DUPLICATES in the files.

        See `create_frame` for `session`.
        """
        files: Sequence[tuple[str, str, Sequence[str]]] = [
            *((_TABLE, url, notes) for url, notes in self.previous),
            *((_PART, url, ()) for url in self.parts),
            *((_RESOLVED, url, ()) for url in self.resolved),
            *((_SIMILAR, url, ()) for url in self.similar),
        ]
        table = build_table([(kind, url, list(notes)) for kind, url, notes in files], _FILES)
        num_tasks = -(-table.num_rows // _FILES_PER_TASK)
        read = partial(_read_file, table_schema)
        return expand_rows(create_frame(session, table, num_tasks), read, table_schema)


def _read_file(
    table_schema: pa.Schema, kind: str, url: str, notes: Sequence[str]
) -> Iterator[pa.Table]:
    if kind == _TABLE:
        table = arrow.conform(storage.read_table(url), table_schema)
        yield arrow.filter_rows(table, row_notes.keep_mask(table.num_rows, notes))
    elif kind == _PART:
        names = [schema.KEY, STATUS, schema.DETAIL, schema.SOURCE_BYTES, schema.SOURCE_MODIFIED]
        part = storage.read_table(url, names)
        if not is_decoded(part).all():
            yield select_rejects(part)
    elif kind == _RESOLVED:
        yield _resolved_rows(arrow.conform(storage.read_table(url), RESOLVED), table_schema)
    else:
        yield _similar_rows(arrow.conform(storage.read_table(url), SIMILAR), table_schema)


def _resolved_rows(table: pa.Table, table_schema: pa.Schema) -> pa.Table:
    is_duplicate = arrow.is_in(table[STATUS], arrow.string_array([DUPLICATE]))
    if table_schema == schema.DUPLICATES:
        rows = arrow.filter_rows(table, is_duplicate)
        names = {schema.PATH: schema.KEY, schema.KEPT_PATH: schema.DETAIL}
    else:
        rows = arrow.filter_rows(table, ~is_duplicate)
        names = {schema.PATH: schema.KEY, schema.REASON: STATUS}
    columns = [rows[names.get(name, name)] for name in table_schema.names]
    return pa.table(columns, schema=table_schema)


def _similar_rows(table: pa.Table, table_schema: pa.Schema) -> pa.Table:
    """Return near duplicates; or as duplicates those of an image with the same label."""
    if table_schema == schema.NEAR_DUPLICATES:
        return table.select(table_schema.names)
    is_same = [a == b for a, b in arrow.iter_rows(table, schema.LABEL, schema.NEAR_LABEL)]
    rows = arrow.take_rows(table, [row for row, same in enumerate(is_same) if same])
    names = {schema.KEPT_PATH: schema.NEAR_PATH}
    columns = [rows[names.get(name, name)] for name in table_schema.names]
    return pa.table(columns, schema=table_schema)
