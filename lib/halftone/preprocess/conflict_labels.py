"""Digest the labels of the images that are rejected as conflicts.

Conflicts are resolved again when the label of one of them changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.preprocess.entries import CONFLICT
from halftone.preprocess.row_hashes import HASH_RANGE, sum_hashes
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import Frame, build_table, group_rows, map_tables, union_frames

_PARTITION_ROWS = 200_000
_IS_CONFLICT = "is_conflict"
# A listed image, or a conflict, which has no label.
_IMAGES = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.LABEL, pa.string()),
        pa.field(_IS_CONFLICT, pa.int8()),
    ]
)
_DIGEST = pa.schema([pa.field("digest", pa.string())])


def digest_conflict_labels(entries: Frame, rejects: Frame, num_images: int) -> str:
    """Digest the keys and labels of the listed images that are conflicts; empty if there are none.

    Args:
        entries: ENTRIES.
        rejects: schema.REJECTS.
        num_images: rows of both together.

    Raises:
        RunError: a Spark task failed.
    """
    images = union_frames(
        map_tables(entries, _select_labels, _IMAGES),
        map_tables(rejects, _select_conflicts, _IMAGES),
    )
    by_key = group_rows(images, max(1, -(-num_images // _PARTITION_ROWS)), schema.KEY)
    digests = map_tables(by_key, _digest_labels, _DIGEST)
    rows = collect_rows(digests, ActionProgress("labels", "digest labels of conflicts"))
    total = sum(int(row.digest, 16) for row in rows) % HASH_RANGE
    return f"{total:032x}" if rows else ""


def _select_labels(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        yield _images(table[schema.KEY], table[schema.LABEL], 0)


def _select_conflicts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        is_conflict = arrow.is_in(table[schema.REASON], arrow.string_array([CONFLICT]))
        keys = arrow.filter_rows(table, is_conflict)[schema.PATH]
        yield _images(keys, arrow.repeat_value(arrow.string_array([""]), len(keys)), 1)


def _images(keys: arrow.Column, labels: arrow.Column, is_conflict: int) -> pa.Table:
    values = arrow.number_array(np.full(len(keys), is_conflict), pa.int8())
    return pa.table([keys, labels, values], schema=_IMAGES)


def _digest_labels(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield a row of _DIGEST, if a listed image is a conflict.

    Args:
        tables: _IMAGES, with all rows of each key.
    """
    images = arrow.concat_tables(tables, _IMAGES)
    is_conflict = arrow.to_numpy(images[_IS_CONFLICT]) == 1
    conflicts = arrow.filter_rows(images, is_conflict)[schema.KEY]
    listed = arrow.filter_rows(images, ~is_conflict)
    shared = arrow.filter_rows(listed, arrow.is_in(listed[schema.KEY], conflicts))
    if shared.num_rows:
        total = sum_hashes(arrow.iter_rows(shared, schema.KEY, schema.LABEL))
        yield build_table([(f"{total:032x}",)], _DIGEST)
