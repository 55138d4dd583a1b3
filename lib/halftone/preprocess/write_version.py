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
from halftone.preprocess import shards
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.outcome import PreprocessOutcome
from halftone.preprocess.shards import Shard
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 2  # shards are of one size


def write_dataset_version(
    spark: SparkSession,
    config: Config,
    catalogue: Catalogue,
    outcome: PreprocessOutcome,
    dataset: str,
    run: str,
    previous_manifest: Optional[Manifest],
    num_missing: int,
) -> Manifest:
    """Write what does not stand yet; return the manifest that names it all."""
    files = _write_shards(spark, config, catalogue.root, outcome, dataset, run)
    sides = _write_side_tables(outcome, dataset, run)
    sheet = f"{CONTACT_SHEETS}/{run}.png"
    storage.write_bytes(
        storage.join(dataset, sheet), _draw_contact_sheet(dataset, config, outcome, files)
    )
    return Manifest(
        schema_version=schema.SCHEMA_VERSION,
        halftone_version=halftone.__version__,
        version=previous_manifest.version + 1 if previous_manifest else 1,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seed=config.seed,
        pixels=config.pixels,
        splits=config.splits,
        preprocess=config.preprocess,
        images=catalogue.root,
        labels=outcome.labels,
        inputs=outcome.inputs,
        rows=sum(file.rows for file in files),
        rejects=outcome.rejects.num_rows,
        duplicates=outcome.duplicates.num_rows,
        gone=num_missing,
        ignored=catalogue.ignored,
        rejects_by_reason=outcome.rejects_by_reason(),
        counts=outcome.counts,
        fingerprint=_fingerprint(config, outcome.labels, files),
        files=files,
        rejects_files=sides[REJECTS],
        duplicates_files=sides[DUPLICATES],
        near_duplicates=outcome.near_duplicates.num_rows,
        near_duplicates_files=sides[NEAR_DUPLICATES],
        contact_sheet=sheet,
    )


def _write_shards(
    spark: SparkSession,
    config: Config,
    images: str,
    outcome: PreprocessOutcome,
    dataset: str,
    run: str,
) -> list[ShardFile]:
    """Write the shards that do not stand yet; return all, a split after another."""
    stand, planned = shards.plan_shards(outcome.selections, _shard_sizes(config, outcome), run)
    writer = shards.ShardWriter(dataset, images, outcome.labels, config.pixels.channels)
    written = tasks.run_tasks(
        spark,
        partial(_write_shard, writer, planned),
        len(planned),
        num_slices=_TASKS_PER_CORE * num_cores(spark),
        progress=tasks.TaskProgress("write", len(planned), "shards"),
    )
    new = [
        ShardFile(path=shard.path, split=shard.split, **own._asdict())
        for shard, own in zip(planned, written)
    ]
    return sorted([*stand, *new], key=lambda file: SPLITS.index(file.split))


def _write_side_tables(outcome: PreprocessOutcome, dataset: str, run: str) -> dict[str, list[str]]:
    """Write the rejects and all kinds of duplicates, where there are any."""
    tables = {
        REJECTS: outcome.rejects,
        DUPLICATES: outcome.duplicates,
        NEAR_DUPLICATES: outcome.near_duplicates,
    }
    sides = {}
    for name, table in tables.items():
        sides[name] = [f"{name}/{run}-00000.parquet"] if table.num_rows else []
        for path in sides[name]:
            storage.write_table(storage.join(dataset, path), table)
    return sides


def _draw_contact_sheet(
    dataset: str, config: Config, outcome: PreprocessOutcome, files: list[ShardFile]
) -> bytes:
    return previews.draw_dataset_sheet(
        [storage.join(dataset, file.path) for file in files if file.split == TRAIN],
        outcome.counts[TRAIN],
        outcome.rejects,
        config.pixels,
    )


def _shard_sizes(config: Config, outcome: PreprocessOutcome) -> dict[str, int]:
    pixels, settings = config.pixels, config.preprocess
    row_bytes = pixels.height_px * pixels.width_px * pixels.channels
    sizes = {}
    for split in SPLITS:
        rows = sum(outcome.counts[split].values())
        wanted = shards.rows_per_shard(
            settings.rows_per_shard, row_bytes, rows, settings.min_shards
        )
        is_auto = settings.rows_per_shard == "auto"
        sizes[split] = (
            shards.stable_rows_per_shard(outcome.selections, split, wanted) if is_auto else wanted
        )
    return sizes


def _write_shard(
    writer: shards.ShardWriter, planned: list[Shard], number: int
) -> shards.ShardSummary:
    return writer.write(planned[number])


def _fingerprint(config: Config, labels: list[str], files: Iterable[ShardFile]) -> str:
    """Digest what the rows are and their order; where the dataset lies does not matter."""
    pixels = config.pixels
    shape = [pixels.height_px, pixels.width_px, pixels.channels]
    rows = [[file.split, file.rows, file.digest] for file in files]
    text = json.dumps([schema.SCHEMA_VERSION, shape, labels, rows])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
