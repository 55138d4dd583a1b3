"""Find the rows of shards that an earlier version has in shards that were removed since.

Runs in Spark's Python workers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema

KEY, SHARD, ROW, URL = schema.KEY, "shard", "row", "url"
_DIGEST = schema.SOURCE_DIGEST
REMOVED = -1  # as the number of a shard
# The shards to read: their URL and their number, or REMOVED.
SHARDS = pa.schema([pa.field(URL, pa.string()), pa.field(SHARD, pa.int64())])
# Rows of shards, with what identifies an image.
IDENTITIES = pa.schema(
    [
        pa.field(KEY, pa.string()),
        pa.field(_DIGEST, pa.binary()),
        pa.field(SHARD, pa.int64()),
        pa.field(ROW, pa.int64()),
    ]
)
# Numbers of rows in shards. Each shard also has a row with its URL and the number SHARD_ITSELF.
ROWS = pa.schema(
    [pa.field(URL, pa.string()), pa.field(SHARD, pa.int64()), pa.field(ROW, pa.int64())]
)
SHARD_ITSELF = -1


def read_identities(url: str, shard: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard as a table of IDENTITIES."""
    rows = storage.read_table(url, [KEY, _DIGEST])
    numbers = (np.full(rows.num_rows, shard), np.arange(rows.num_rows))
    arrays = (arrow.number_array(values, pa.int64()) for values in numbers)
    yield pa.table([rows[KEY], rows[_DIGEST], *arrays], names=IDENTITIES.names)


def find_known(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows that a removed shard has too: the same key, and the same bytes of its file.

    Args:
        tables: tables of IDENTITIES; together all rows of the keys that they have.

    Returns:
        Tables of ROWS without URLs; none of a removed shard.
    """
    parts = [arrow.conform(table, IDENTITIES) for table in tables]
    rows = pa.concat_tables([arrow.empty_table(IDENTITIES), *parts])
    is_removed = arrow.to_numpy(rows[SHARD]) == REMOVED
    removed, others = arrow.filter_rows(rows, is_removed), arrow.filter_rows(rows, ~is_removed)
    index = arrow.index_in(others[KEY], removed[KEY])
    others = arrow.filter_rows(others, index >= 0)
    before = arrow.take_rows(removed, index[index >= 0])
    equal = pc.cast(pc.equal(others[_DIGEST], before[_DIGEST]), pa.int8())
    known = arrow.filter_rows(others, np.asarray(arrow.to_numpy(equal), np.bool_))
    yield pa.table(
        [arrow.repeat_value(arrow.string_array([""]), known.num_rows), known[SHARD], known[ROW]],
        schema=ROWS,
    )
