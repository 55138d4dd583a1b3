"""What a run has to read, decoded in Spark into staged parts below the dataset.

The run's name is a digest of all that decides what comes out. A rerun after a kill has the same
name, and takes the parts that are there.
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
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.changes import Delta
from halftone.preprocess.decode_block import (
    PART_NAME,
    DecodeJob,
    digest_whole_files,
    read_part_metadata,
    stage_block,
)
from halftone.spark import tasks
from halftone.spark.session import num_cores

# A name that begins with an underscore is no data to Spark, to Petastorm or to our own listing.
FOLDER = "_staging"
# A task takes several blocks: starting one costs what decoding fifty photographs does. A slow one
# at the end should still leave no core idle for long.
_TASKS_PER_CORE, _MIN_TASK_IMAGES = 4, 1000
_BLOCKS_PER_CORE = 16
_MIN_BLOCK, _MAX_BLOCK = 32, 2000


def run_name(
    catalogue: Catalogue,
    entries: pa.Table,
    delta: Delta,
    config: Config,
    previous_manifest: Optional[Manifest],
) -> str:
    """Digest all that decides what this run writes: its files can then have its name."""
    settings = {
        "schema": schema.SCHEMA_VERSION,
        "root": catalogue.root,
        "seed": config.seed,
        "pixels": config.pixels.model_dump(),
        "splits": config.splits.model_dump(),
        "preprocess": config.preprocess.model_dump(exclude={"max_reject_fraction", "read_threads"}),
        "unusable": catalogue.unusable_images,
        "last": (previous_manifest.version, previous_manifest.fingerprint)
        if previous_manifest
        else None,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    for table in (pa.table({"forget": delta.to_remove}), entries):
        arrow.update_digest(digest, table)
    return digest.hexdigest()


def stage_images(
    spark: SparkSession, config: Config, root: str, entries: pa.Table, dataset: str, run: str
) -> list[tuple[str, pa.Table]]:
    """Decode the images that `entries` name; return each part's URL and all but its pixels.

    Args:
        root: the folder of images.
        entries: catalogue.ENTRIES.
    """
    if not entries.num_rows:
        return []
    folder = storage.join(dataset, FOLDER, run)
    cores = num_cores(spark)
    pixels = config.pixels
    work, num_blocks = plan_blocks(
        root, entries, pixels, config.preprocess.read_threads, folder, cores
    )

    def num_done() -> int:
        return int(entries.num_rows) * num_parts(work) // num_blocks

    tasks.run_tasks(
        spark,
        partial(stage_block, work),
        num_blocks,
        num_slices=num_slices(entries.num_rows, cores),
        progress=tasks.TaskProgress("decode", entries.num_rows, "images", num_done),
    )
    return read_part_metadata(work, num_blocks)


def num_parts(job: DecodeJob) -> int:
    """How many blocks are done."""
    return sum(name.startswith(PART_NAME) for name in storage.list_names(job.parts))


def num_slices(num_images: int, cores: int) -> int:
    """Into how many Spark tasks the work is cut."""
    return max(cores, min(cores * _TASKS_PER_CORE, num_images // _MIN_TASK_IMAGES))


def plan_blocks(
    root: str, entries: pa.Table, pixels: PixelSpec, read_threads: int, folder: str, cores: int
) -> tuple[DecodeJob, int]:
    """Cut what is to be read into blocks and write them down; return the work and their number.

    Args:
        root: the folder of images.
        entries: catalogue.ENTRIES.
        folder: where the plan and the parts go.
    """
    work = DecodeJob(
        root=root,
        plan_url=storage.join(folder, "plan.parquet"),
        parts=storage.join(folder, "parts"),
        pixels=pixels,
        read_threads=read_threads,
    )
    if not storage.exists(work.plan_url):
        block = -(-entries.num_rows // (cores * _BLOCKS_PER_CORE))
        block = max(_MIN_BLOCK, min(_MAX_BLOCK, block))
        storage.write_table(work.plan_url, entries, rows_per_group=block)
    # A plan from before a kill stands, whatever the number of cores was then.
    return work, storage.count_row_groups(work.plan_url)


def compute_full_digests(spark: SparkSession, groups: list[list[str]]) -> dict[str, str]:
    """Read look-alikes once more and digest all their bytes."""
    digests = tasks.run_tasks(
        spark,
        partial(digest_whole_files, groups),
        len(groups),
        num_slices=_TASKS_PER_CORE * num_cores(spark),
        progress=tasks.TaskProgress("compare", sum(map(len, groups)), "look-alikes"),
    )
    return {
        key: full for keys, of_group in zip(groups, digests) for key, full in zip(keys, of_group)
    }
