"""Decode images in Spark into staged parts below the dataset's folder.

The parts of a run lie in a folder with the run's name. The name is a digest of everything that
decides what the run writes, so a rerun after a kill has the same name and reuses finished parts.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Optional

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import Config, PixelSpec
from halftone.config.effects import result_settings
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.changes import Delta
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.decode_block import (
    PART_NAME,
    DecodeJob,
    digest_whole_files,
    read_part_metadata,
    stage_block,
)
from halftone.spark import tasks
from halftone.spark.session import num_cores

# Spark and Petastorm ignore names with a leading underscore.
FOLDER = "_staging"
# A task processes several blocks: starting a task costs as much as decoding fifty photographs.
# Several tasks per core keep a slow last task from leaving the other cores idle for long.
_TASKS_PER_CORE, _MIN_TASK_IMAGES = 4, 1000
_BLOCKS_PER_CORE = 16
_MIN_BLOCK, _MAX_BLOCK = 32, 2000
# Pixels of one block; at least one image. A worker holds them up to four times: as a list, as a
# column, as a page of the Parquet file and as the file. So a worker takes about 0.6 GB at most
# (measured with 1024 x 1024 x 3 pixels), whatever the size and the number of images; 2.2 GB for
# the largest pixels that the config allows, 8192 x 8192 x 3, where one image has 201 MB.
_MAX_BLOCK_BYTES = 128 * 2**20


def compute_run_name(
    catalogue: Catalogue,
    entries: pa.Table,
    delta: Delta,
    config: Config,
    previous_manifest: Optional[Manifest],
    moved: Optional[pa.Table] = None,
) -> str:
    """Return a digest of everything that decides what this run writes.

    Args:
        entries: catalogue.ENTRIES of the images that this run reads.
        moved: catalogue.ENTRIES of the rows that get another label or split, if any.
    """
    settings = {
        "schema": schema.SCHEMA_VERSION,
        "root": catalogue.root,
        "seed": config.seed,
        "pixels": config.pixels.model_dump(),
        "splits": result_settings(config.splits, mode="python"),
        "preprocess": result_settings(config.preprocess, mode="python"),
        "unusable": catalogue.unusable_images,
        "last": (previous_manifest.version, previous_manifest.fingerprint)
        if previous_manifest
        else None,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    for table in (pa.table({"forget": delta.to_remove}), entries, moved):
        if table is not None:
            arrow.update_digest(digest, table)
    return digest.hexdigest()


def stage_images(context: PreprocessContext, entries: pa.Table) -> list[tuple[str, pa.Table]]:
    """Decode the images of `entries`; return each part's URL and its columns without the pixels.

    Args:
        entries: catalogue.ENTRIES.
    """
    if not entries.num_rows:
        return []
    config = context.config
    cores = num_cores(context.spark)
    folder = storage.join(context.dataset, FOLDER, context.run_name)
    decode_job, num_blocks = plan_blocks(
        context.catalogue.root,
        entries,
        config.pixels,
        config.preprocess.read_threads,
        folder,
        cores,
    )

    def count_done() -> int:
        return int(entries.num_rows) * num_parts(decode_job) // num_blocks

    tasks.run_tasks(
        context.spark,
        partial(stage_block, decode_job),
        num_blocks,
        num_slices=num_slices(entries.num_rows, cores),
        progress=tasks.TaskProgress("decode", entries.num_rows, "images", count_done),
    )
    return read_part_metadata(decode_job, num_blocks)


def num_parts(job: DecodeJob) -> int:
    """Return how many blocks are finished."""
    return sum(name.startswith(PART_NAME) for name in storage.list_names(job.parts))


def num_slices(num_images: int, cores: int) -> int:
    """Return the number of Spark tasks to cut the decoding of `num_images` into."""
    return max(cores, min(cores * _TASKS_PER_CORE, num_images // _MIN_TASK_IMAGES))


def plan_blocks(
    root: str, entries: pa.Table, pixels: PixelSpec, read_threads: int, folder: str, cores: int
) -> tuple[DecodeJob, int]:
    """Cut `entries` into blocks, write them as the plan, and return the job and the block count.

    A plan that exists in `folder` is kept, whatever the number of cores was when it was written.

    Args:
        root: the folder of images.
        entries: catalogue.ENTRIES.
        folder: URL of the folder for the plan and the parts.
    """
    job = DecodeJob(
        root=root,
        plan_url=storage.join(folder, "plan.parquet"),
        parts=storage.join(folder, "parts"),
        pixels=pixels,
        read_threads=read_threads,
    )
    if not storage.exists(job.plan_url):
        block_rows = -(-entries.num_rows // (cores * _BLOCKS_PER_CORE))
        block_rows = max(_MIN_BLOCK, min(_MAX_BLOCK, block_rows))
        block_rows = max(1, min(block_rows, _MAX_BLOCK_BYTES // pixels.image_bytes))
        storage.write_table(job.plan_url, entries, rows_per_group=block_rows)
    return job, storage.count_row_groups(job.plan_url)


def compute_full_digests(spark: SparkSession, groups: list[list[str]]) -> dict[str, str]:
    """Read the files of `groups` in Spark and digest all their bytes; return digests by key."""
    digests_by_group = tasks.run_tasks(
        spark,
        partial(digest_whole_files, groups),
        len(groups),
        num_slices=_TASKS_PER_CORE * num_cores(spark),
        progress=tasks.TaskProgress("compare", sum(map(len, groups)), "look-alikes"),
    )
    return {
        key: digest
        for keys, digests in zip(groups, digests_by_group)
        for key, digest in zip(keys, digests)
    }
