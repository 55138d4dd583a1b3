"""Give rows of the previous version another label or split, with the pixels of its shards.

The rows are copied into staged parts as if their images had been decoded again.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess import staging
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.decode_block import (
    OK,
    PART,
    STATUS,
    DecodeJob,
    part_url,
    read_part_metadata,
)
from halftone.preprocess.previous_version import ROW_NUMBER, PreviousVersion
from halftone.spark import tasks
from halftone.spark.session import num_cores

_URL = "url"
# The rows to copy, and what is new of each.
MOVED_ROWS = pa.schema(
    [
        pa.field(_URL, pa.string()),  # of the shard
        pa.field(ROW_NUMBER, pa.int64()),  # in the shard
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),  # index in splits.SPLITS
    ]
)
_MAX_PART_ROWS, _MAX_PART_BYTES = 2000, 64 * 2**20
_COPIED_COLUMNS = [name for name in PART.names if name in schema.ROWS.names]


def find_moved_rows(
    previous_version: PreviousVersion, keys: pa.ChunkedArray, listed_images: pa.Table
) -> pa.Table:
    """Return MOVED_ROWS: the rows with these keys, with the labels and splits of the listing.

    Args:
        listed_images: changes.LISTED_IMAGES.
    """
    shards = [_number_rows(url, table) for url, _, table in previous_version.shards]
    rows = pa.concat_tables([arrow.empty_table(_NUMBERED_ROWS), *shards])
    rows = arrow.filter_rows(rows, arrow.is_in(rows[schema.KEY], keys))
    listed = arrow.take_rows(
        listed_images.select([schema.LABEL, schema.SPLIT]),
        arrow.index_in(rows[schema.KEY], listed_images[schema.KEY]),
    )
    columns = [rows[_URL], rows[ROW_NUMBER], listed[schema.LABEL], listed[schema.SPLIT]]
    return pa.table(columns, schema=MOVED_ROWS)


_NUMBERED_ROWS = pa.schema(
    [
        pa.field(_URL, pa.string()),
        pa.field(ROW_NUMBER, pa.int64()),
        pa.field(schema.KEY, pa.string()),
    ]
)


def _number_rows(url: str, shard: pa.Table) -> pa.Table:
    urls = arrow.repeat_value(arrow.string_array([url]), shard.num_rows)
    return pa.table([urls, shard[ROW_NUMBER], shard[schema.KEY]], schema=_NUMBERED_ROWS)


def stage_moved_rows(
    context: PreprocessContext, moved_rows: pa.Table
) -> list[tuple[str, pa.Table]]:
    """Copy rows into parts; return each part's URL and its columns without the pixels."""
    if not moved_rows.num_rows:
        return []
    pixels = context.config.pixels
    folder = storage.join(context.dataset, staging.FOLDER, context.run_name, "moved")
    job = DecodeJob(
        root=context.catalogue.root,
        plan_url=storage.join(folder, "plan.parquet"),
        parts=storage.join(folder, "parts"),
        pixels=pixels,
        read_threads=context.config.preprocess.read_threads,
    )
    if not storage.exists(job.plan_url):
        part_rows = max(1, min(_MAX_PART_ROWS, _MAX_PART_BYTES // pixels.image_bytes))
        storage.write_table(job.plan_url, moved_rows, rows_per_group=part_rows)
    num_blocks = storage.count_row_groups(job.plan_url)
    tasks.run_tasks(
        context.spark,
        partial(copy_block, job),
        num_blocks,
        num_slices=staging.num_slices(moved_rows.num_rows, num_cores(context.spark)),
        progress=tasks.TaskProgress("move", moved_rows.num_rows, "rows"),
    )
    return read_part_metadata(job, num_blocks)


def copy_block(job: DecodeJob, block: int) -> None:
    """Write the part of a block. A part that exists is not written again.

    Args:
        job: its plan has MOVED_ROWS.
    """
    url = part_url(job, block)
    if not storage.exists(url):
        storage.write_table(url, _copy_rows(storage.read_row_group(job.plan_url, block)))


def _copy_rows(moved_rows: pa.Table) -> pa.Table:
    """Return the rows as a PART."""
    shard_numbers = arrow.dictionary_codes(moved_rows[_URL])
    copies = []
    for number in range(int(shard_numbers.max()) + 1):
        of_shard = arrow.filter_rows(moved_rows, shard_numbers == number)
        shard = storage.read_table(of_shard[_URL][0].as_py(), _COPIED_COLUMNS)
        rows = arrow.take_rows(shard, arrow.to_numpy(of_shard[ROW_NUMBER]))
        new = {
            **{name: rows[name] for name in _COPIED_COLUMNS},
            schema.LABEL: of_shard[schema.LABEL],
            schema.SPLIT: of_shard[schema.SPLIT],
            STATUS: arrow.repeat_value(arrow.string_array([OK]), rows.num_rows),
            schema.DETAIL: arrow.repeat_value(arrow.string_array([""]), rows.num_rows),
        }
        copies.append(pa.table([new[name] for name in PART.names], schema=PART))
    return pa.concat_tables(copies).combine_chunks()
