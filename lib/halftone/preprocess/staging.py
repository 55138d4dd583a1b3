"""Decode images in Spark into staged parts below the dataset's folder.

The images are cut into blocks by their positions, which are hashes: a block is an equal range of
all 64-bit numbers, the same on every cluster. Members of archives are cut into runs of neighbours,
which one request reads, and blocks have some runs each. A worker decodes a block and writes its
part, unless the part exists. So a rerun after a kill, and a task that Spark repeats, find what is
done.

The parts of a run lie in a folder with the run's name. The name is a digest of everything that
decides what the run writes, so a rerun has the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Optional

import pyarrow as pa
from pyspark.sql import DataFrame

from halftone import arrow, measures
from halftone.config import Config, PixelSpec
from halftone.config.effects import result_settings
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import SPLITS
from halftone.listing import MEMBER_PLACE
from halftone.preprocess.decode_block import DecodeJob, StagedPart, part_url, stage_block
from halftone.preprocess.entries import POSITION
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, map_tables
from halftone.storage.written_rows import WrittenRows

# Spark and Petastorm ignore names with a leading underscore.
FOLDER = "_staging"
# A task decodes several blocks: starting a task costs as much as decoding thirty photographs.
_MIN_TASKS, _BLOCKS_PER_TASK = 8, 8
_TARGET_BLOCKS = 64
_MIN_BLOCK, _MAX_BLOCK = 32, 2000
# Pixels of one block; at least one image. A worker holds them up to four times: as a list, as a
# column, as a page of the Parquet file and as the file. So a worker takes about 0.6 GB at most
# (measured with 1024 x 1024 x 3 pixels), whatever the size and the number of images; 2.2 GB for
# the largest pixels that the config allows, 8192 x 8192 x 3, where one image has 201 MB. The
# positions are random, so some blocks are larger than planned.
_MAX_BLOCK_BYTES = 112 * 2**20
_BLOCK, _ARCHIVE, _NUMBER = "block", "archive", "number"
# Runs of members in a block. More make blocks more equal, fewer make requests larger.
_RUNS_PER_BLOCK = 4
# What a worker returns of a block.
_BLOCK_RESULTS = pa.schema(
    [
        pa.field(_BLOCK, pa.int64()),
        pa.field("rows", pa.int64()),
        pa.field(schema.SIZE_BYTES, pa.int64()),  # of the raw images, where it is known
        *(pa.field(split, pa.int64()) for split in SPLITS),  # decoded images
    ]
)


def compute_run_name(
    root: str, config: Config, previous_manifest: Optional[Manifest], work_digest: str
) -> str:
    """Return a digest of everything that decides what this run writes.

    Args:
        root: the folder of images.
        work_digest: digest of the images to read, to reject, to move and to remove.
    """
    settings = {
        "schema": schema.SCHEMA_VERSION,
        "root": root,
        "seed": config.seed,
        "pixels": config.pixels.identity(),
        "splits": result_settings(config.splits, mode="python"),
        "preprocess": config.preprocess.identify(result_settings(config.preprocess, mode="python")),
        "last": (previous_manifest.version, previous_manifest.fingerprint)
        if previous_manifest
        else None,
        "work": work_digest,
    }
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def count_blocks(num_images: int, pixels: PixelSpec) -> int:
    """Return the number of blocks for a number of images: at least 1, and the same everywhere."""
    block_rows = max(_MIN_BLOCK, min(_MAX_BLOCK, -(-num_images // _TARGET_BLOCKS)))
    block_rows = max(1, min(block_rows, _MAX_BLOCK_BYTES // pixels.image_bytes))
    return max(1, -(-num_images // block_rows))


def group_by_block(entries: DataFrame, num_blocks: int, num_images: int) -> DataFrame:
    """Return catalogue.ENTRIES with the column `block`: a block is in one partition, in order.

    Args:
        num_images: the number of entries.
    """
    # Of the position, the upper 32 bits as an unsigned number are enough.
    of_file = f"shiftright((shiftright({POSITION}, 32) + {2**31}) * {num_blocks}L, 32)"
    run_rows = max(1, num_images // num_blocks // _RUNS_PER_BLOCK)
    # The runs of an archive are dealt out to the blocks in turn, from one that its path decides.
    first = f"pmod(xxhash64({_ARCHIVE}), {num_blocks}L)"
    of_member = f"pmod({first} + {_NUMBER} div {run_rows}, {num_blocks}L)"
    block = f"CASE WHEN {MEMBER_PLACE} = '' THEN {of_file} ELSE {of_member} END"
    num_tasks = min(num_blocks, max(_MIN_TASKS, num_blocks // _BLOCKS_PER_TASK))
    with_places = entries.selectExpr("*", *_place_columns())
    blocks = with_places.selectExpr("*", f"{block} AS {_BLOCK}").repartition(num_tasks, _BLOCK)
    order = (_BLOCK, _ARCHIVE, _NUMBER, POSITION, schema.PATH)
    return blocks.sortWithinPartitions(*order).drop(_ARCHIVE, _NUMBER)


def _place_columns() -> list[str]:
    """Return SQL for the archive of each image and its number in it, "" and 0 for a file."""
    number, chars = (
        f"cast(element_at(split({MEMBER_PLACE}, ' '), {index}) AS bigint)" for index in (1, 2)
    )
    is_file = f"CASE WHEN {MEMBER_PLACE} = ''"
    return [
        f"{is_file} THEN '' ELSE substring({schema.PATH}, 1, cast({chars} AS int)) END {_ARCHIVE}",
        f"{is_file} THEN 0L ELSE {number} END {_NUMBER}",
    ]


def iter_blocks(tables: Iterator[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the number and the rows of each block of a partition of `group_by_block`."""
    pending: list[pa.Table] = []
    current = -1
    for table in tables:
        for block, rows in arrow.iter_runs(table, _BLOCK):
            if pending and block != current:
                yield current, pa.concat_tables(pending).combine_chunks()
                pending = []
            current = block
            pending.append(rows)
    if pending:
        yield current, pa.concat_tables(pending).combine_chunks()


def count_written(job: DecodeJob, num_images: int, num_blocks: int) -> WrittenRows:
    """Count images by the files of blocks, which are of about equal size."""
    ends = [num_images * number // max(1, num_blocks) for number in range(num_blocks + 1)]
    urls = (part_url(job, block) for block in range(num_blocks))
    return WrittenRows({url: end - start for url, start, end in zip(urls, ends, ends[1:])})


def stage_images(
    entries: DataFrame,
    num_images: int,
    job: DecodeJob,
) -> list[StagedPart]:
    """Decode images; return the parts in the order of the blocks.

    Args:
        entries: catalogue.ENTRIES of the images to read.
        num_images: the number of entries.
    """
    if not num_images:
        return []
    num_blocks = count_blocks(num_images, job.pixels)
    results = collect_rows(
        map_tables(
            group_by_block(entries, num_blocks, num_images),
            partial(_stage_blocks, job),
            _BLOCK_RESULTS,
        ),
        ActionProgress(
            "decode",
            f"decode images of {job.root}",
            num_images,
            "images",
            count_written(job, num_images, num_blocks).count,
        ),
    )
    measures.set_value(measures.IMAGE_BYTES_READ, sum(row[schema.SIZE_BYTES] for row in results))
    return [
        StagedPart(part_url(job, row.block), row.rows, {split: row[split] for split in SPLITS})
        for row in sorted(results, key=lambda row: row.block)
    ]


def _stage_blocks(job: DecodeJob, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for block, entries in iter_blocks(tables):
        num_decoded = stage_block(job, block, entries)
        size_bytes = sum(max(0, size) for size in entries[schema.SIZE_BYTES].to_pylist())
        yield build_table([(block, entries.num_rows, size_bytes, *num_decoded)], _BLOCK_RESULTS)
