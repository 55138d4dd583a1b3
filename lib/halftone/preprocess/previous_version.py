"""The images of a dataset's previous version: its rows, rejects and duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Optional

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.preprocess.entries import DUPLICATE, FILE, KEPT_KEY, KNOWN, NO_SPLIT, ROW, STATUS
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.frames import build_table, create_frame, map_tables

ROWS, REJECTS, DUPLICATES = "rows", "rejects", "duplicates"
_READ_THREADS = 8
# Small files, such as those of few rows in a store, take about 0.1 s each.
_TASK_ROWS, _TASK_FILES = 200_000, 64


class VersionFile(NamedTuple):
    """A file of a version, and its place among all of them."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    url: str
    kind: str  # ROWS, REJECTS or DUPLICATES
    split: str  # of a shard, else ""
    shard: Optional[ShardFile]  # its entry in the manifest


def list_files(dataset: str, manifest: Manifest) -> list[VersionFile]:
    """Return the files of all rows, then of all rejects, then of all duplicates."""
    files = [
        *((ROWS, file.path, file.split, file) for file in read_shards(dataset, manifest)),
        *((REJECTS, path, "", None) for path in manifest.rejects_files),
        *((DUPLICATES, path, "", None) for path in manifest.duplicates_files),
    ]
    return [
        VersionFile(index, storage.join(dataset, path), kind, split, shard)
        for index, (kind, path, split, shard) in enumerate(files)
    ]


FILES = pa.schema(
    [
        pa.field(FILE, pa.int32()),
        pa.field("url", pa.string()),
        pa.field("kind", pa.string()),
        pa.field(schema.SPLIT, pa.int8()),
    ]
)
# The columns of each kind of file that KNOWN has too, by their names in KNOWN.
COLUMNS = {
    ROWS: {
        schema.KEY: schema.KEY,
        schema.SIZE_BYTES: schema.SOURCE_BYTES,
        schema.MODIFIED: schema.SOURCE_MODIFIED,
        schema.LABEL: schema.LABEL,
    },
    REJECTS: {
        schema.KEY: schema.PATH,
        schema.SIZE_BYTES: schema.SIZE_BYTES,
        schema.MODIFIED: schema.MODIFIED,
        STATUS: schema.REASON,
    },
    DUPLICATES: {
        schema.KEY: schema.PATH,
        schema.SIZE_BYTES: schema.SIZE_BYTES,
        schema.MODIFIED: schema.MODIFIED,
        schema.LABEL: schema.LABEL,
        KEPT_KEY: schema.KEPT_PATH,
    },
}
_STATUS = {ROWS: ROW, DUPLICATES: DUPLICATE}


def read_known(session: SparkSession, files: Sequence[VersionFile]) -> DataFrame:
    """Return the KNOWN images that files hold, in any order. No pixels are read."""
    rows = [
        (file.index, file.url, file.kind, SPLITS.index(file.split) if file.split else NO_SPLIT)
        for file in files
    ]
    num_rows = sum(file.shard.rows for file in files if file.shard)
    num_tasks = max(num_rows // _TASK_ROWS, len(files) // _TASK_FILES) + 1
    frame = create_frame(session, build_table(rows, FILES), num_tasks)
    return map_tables(frame, read_files, KNOWN)


def read_files(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield KNOWN, a table for each file.

    Args:
        tables: of FILES.
    """
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        for table in tables:
            files = list(arrow.iter_rows(table, *FILES.names))
            for start in range(0, len(files), _READ_THREADS):
                yield from pool.map(_read_file, files[start : start + _READ_THREADS])


def _read_file(file: tuple[int, str, str, int]) -> pa.Table:
    index, url, kind, split = file
    names = COLUMNS[kind]
    table = storage.read_table(url, list(names.values()))
    count = table.num_rows
    constants = {
        schema.LABEL: arrow.string_array([""]),
        schema.SPLIT: arrow.number_array([split], pa.int8()),
        STATUS: arrow.string_array([_STATUS.get(kind, "")]),
        KEPT_KEY: arrow.string_array([""]),
        FILE: arrow.number_array([index], pa.int32()),
    }
    columns = {
        **{name: arrow.repeat_value(value, count) for name, value in constants.items()},
        ROW_NUMBER: arrow.number_array(np.arange(count), pa.int64()),
        **{name: table[column] for name, column in names.items()},
    }
    return arrow.conform(pa.table([columns[name] for name in KNOWN.names], KNOWN.names), KNOWN)
