"""The files of a dataset's next version, written and not yet published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import partial
from typing import Optional

from pyspark.sql import SparkSession

import halftone
from halftone import storage
from halftone.config import Config
from halftone.dataset import previews, schema
from halftone.dataset.manifest import (
    CONTACT_SHEETS,
    DUPLICATES,
    NEAR_DUPLICATES,
    REJECTS,
    Manifest,
    ShardFile,
)
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.images import PixelSpec
from halftone.preprocess import shards
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.outcome import Outcome
from halftone.preprocess.shards import Shard
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 2  # shards are of one size


def write(
    spark: SparkSession,
    config: Config,
    found: Catalogue,
    outcome: Outcome,
    dataset: str,
    run: str,
    last: Optional[Manifest],
    num_gone: int,
) -> Manifest:
    """Write what does not stand yet; return the manifest that names it all."""
    files = _write_shards(spark, config, found.root, outcome, dataset, run)
    sides = _write_sides(outcome, dataset, run)
    sheet = f"{CONTACT_SHEETS}/{run}.png"
    storage.write_bytes(storage.join(dataset, sheet), _sheet(dataset, config, outcome, files))
    return Manifest(
        schema_version=schema.SCHEMA_VERSION,
        halftone_version=halftone.__version__,
        version=last.version + 1 if last else 1,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seed=config.seed,
        pixels=config.pixels,
        splits=config.splits,
        preprocess=config.preprocess,
        images=found.root,
        labels=outcome.labels,
        inputs=outcome.inputs,
        rows=sum(file.rows for file in files),
        rejects=outcome.rejects.num_rows,
        duplicates=outcome.duplicates.num_rows,
        gone=num_gone,
        ignored=found.ignored,
        rejects_by_reason=outcome.rejects_by_reason(),
        counts=outcome.counts,
        fingerprint=_fingerprint(config, outcome.labels, files),
        files=files,
        rejects_files=sides[REJECTS],
        duplicates_files=sides[DUPLICATES],
        near_duplicates=outcome.near.num_rows,
        near_duplicates_files=sides[NEAR_DUPLICATES],
        contact_sheet=sheet,
    )


def _write_shards(
    spark: SparkSession, config: Config, images: str, outcome: Outcome, dataset: str, run: str
) -> list[ShardFile]:
    """Write the shards that do not stand yet; return all, a split after another."""
    stand, planned = shards.plan(outcome.kept, _shard_sizes(config, outcome), run)
    writer = shards.Writer(dataset, images, outcome.labels, config.pixels.channels)
    written = tasks.run(
        spark,
        partial(_write_shard, writer, planned),
        len(planned),
        slices=_TASKS_PER_CORE * num_cores(spark),
        what="write",
        total=len(planned),
        unit="shards",
    )
    new = [
        ShardFile(path=shard.path, split=shard.split, **own._asdict())
        for shard, own in zip(planned, written)
    ]
    return sorted([*stand, *new], key=lambda file: SPLITS.index(file.split))


def _write_sides(outcome: Outcome, dataset: str, run: str) -> dict[str, list[str]]:
    """Write the rejects and all kinds of duplicates, where there are any."""
    tables = {
        REJECTS: outcome.rejects,
        DUPLICATES: outcome.duplicates,
        NEAR_DUPLICATES: outcome.near,
    }
    sides = {}
    for name, table in tables.items():
        sides[name] = [f"{name}/{run}-00000.parquet"] if table.num_rows else []
        for path in sides[name]:
            storage.write_table(storage.join(dataset, path), table)
    return sides


def _sheet(dataset: str, config: Config, outcome: Outcome, files: list[ShardFile]) -> bytes:
    return previews.of_dataset(
        [storage.join(dataset, file.path) for file in files if file.split == TRAIN],
        outcome.counts[TRAIN],
        outcome.rejects,
        PixelSpec(**config.pixels.model_dump()),
    )


def _shard_sizes(config: Config, outcome: Outcome) -> dict[str, int]:
    pixels, settings = config.pixels, config.preprocess
    row_bytes = pixels.height_px * pixels.width_px * pixels.channels
    sizes = {}
    for split in SPLITS:
        rows = sum(outcome.counts[split].values())
        wanted = shards.rows_per_shard(
            settings.rows_per_shard, row_bytes, rows, settings.min_shards
        )
        is_auto = settings.rows_per_shard == "auto"
        sizes[split] = shards.settled(outcome.kept, split, wanted) if is_auto else wanted
    return sizes


def _write_shard(writer: shards.Writer, planned: list[Shard], number: int) -> shards.Written:
    return writer.write(planned[number])


def _fingerprint(config: Config, labels: list[str], files: Iterable[ShardFile]) -> str:
    """Digest what the rows are and their order; where the dataset lies does not matter."""
    pixels = config.pixels
    shape = [pixels.height_px, pixels.width_px, pixels.channels]
    rows = [[file.split, file.rows, file.digest] for file in files]
    text = json.dumps([schema.SCHEMA_VERSION, shape, labels, rows])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
