"""Write the files of a dataset's next version, without publishing them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import partial

import pyarrow as pa

import halftone
from halftone import arrow, storage
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
from halftone.errors import InputError
from halftone.preprocess import shards
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.outcome import PreprocessOutcome
from halftone.preprocess.shards import Shard
from halftone.spark import tasks
from halftone.spark.session import num_cores

_TASKS_PER_CORE = 2  # few are enough, as all shards have the same size


def write_dataset_version(
    context: PreprocessContext,
    outcome: PreprocessOutcome,
    *,
    num_missing: int,
    num_moved: int,
    conflict_labels: str,
) -> Manifest:
    """Write all files that the previous version does not have; return the new manifest.

    Args:
        num_missing: known images that no longer exist and whose rows are kept.
        num_moved: rows that get another label or split.
        conflict_labels: changes.digest_labels of the conflicts.
    """
    config, catalogue, previous = context.config, context.catalogue, context.previous_manifest
    shard_files = _write_shards(context, outcome)
    side_files = _write_side_tables(context, outcome)
    return Manifest(
        schema_version=schema.SCHEMA_VERSION,
        halftone_version=halftone.__version__,
        version=previous.version + 1 if previous else 1,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seed=config.seed,
        pixels=config.pixels,
        splits=config.splits,
        preprocess=config.preprocess,
        images=catalogue.root,
        labels=outcome.labels,
        inputs=outcome.inputs,
        rows=sum(file.rows for file in shard_files),
        rejects=outcome.rejects.num_rows,
        duplicates=outcome.duplicates.num_rows,
        gone=num_missing,
        ignored=catalogue.ignored,
        rejects_by_reason=outcome.rejects_by_reason(),
        counts=outcome.counts,
        fingerprint=_fingerprint(config, outcome.labels, shard_files),
        files=shard_files,
        rejects_files=side_files[REJECTS],
        duplicates_files=side_files[DUPLICATES],
        near_duplicates=outcome.near_duplicates.num_rows,
        near_duplicates_files=side_files[NEAR_DUPLICATES],
        possible_label_errors=outcome.possible_label_errors,
        chance_near_fraction=outcome.chance_near_fraction,
        contact_sheet=_write_contact_sheet(context, outcome, shard_files),
        moved=num_moved,
        conflict_labels=conflict_labels,
        ungrouped=catalogue.num_ungrouped,
        used_columns=list(catalogue.used_columns),
        unknown_columns=list(catalogue.unknown_columns),
    )


def _write_shards(context: PreprocessContext, outcome: PreprocessOutcome) -> list[ShardFile]:
    """Write the new shards; return all shards of the version, ordered by split."""
    spark, config = context.spark, context.config
    unchanged_files, planned = shards.plan_shards(
        outcome.selections, _shard_sizes(config, outcome), context.run_name
    )
    writer = shards.ShardWriter(
        context.dataset, context.catalogue.root, outcome.labels, config.pixels.shape
    )
    summaries = tasks.run_tasks(
        spark,
        partial(_write_shard, writer, planned),
        len(planned),
        num_slices=_TASKS_PER_CORE * num_cores(spark),
        progress=tasks.TaskProgress("write", len(planned), "shards"),
    )
    new_files = [
        ShardFile(path=shard.path, split=shard.split, **summary._asdict())
        for shard, summary in zip(planned, summaries)
    ]
    return sorted([*unchanged_files, *new_files], key=lambda file: SPLITS.index(file.split))


def _write_shard(
    writer: shards.ShardWriter, planned: list[Shard], index: int
) -> shards.ShardSummary:
    return writer.write(planned[index])


def _write_side_tables(
    context: PreprocessContext, outcome: PreprocessOutcome
) -> dict[str, list[str]]:
    """Write the rejects, duplicates and near duplicates; return the paths of each table's files.

    An empty table has no file.
    """
    tables = {
        REJECTS: outcome.rejects,
        DUPLICATES: outcome.duplicates,
        NEAR_DUPLICATES: outcome.near_duplicates,
    }
    side_files = {}
    for name, table in tables.items():
        side_files[name] = [f"{name}/{context.run_name}-00000.parquet"] if table.num_rows else []
        for path in side_files[name]:
            storage.write_table(storage.join(context.dataset, path), table)
    return side_files


def _write_contact_sheet(
    context: PreprocessContext, outcome: PreprocessOutcome, shard_files: list[ShardFile]
) -> str:
    """Draw the contact sheet of the train split and the rejects; return its path."""
    path = f"{CONTACT_SHEETS}/{context.run_name}.png"
    png = previews.draw_dataset_sheet(
        [storage.join(context.dataset, file.path) for file in shard_files if file.split == TRAIN],
        outcome.counts[TRAIN],
        outcome.rejects,
        context.config.pixels,
    )
    storage.write_bytes(storage.join(context.dataset, path), png)
    return path


def redraw_missing_contact_sheet(dataset: str, manifest: Manifest, rejects: pa.Table) -> None:
    """Draw the contact sheet of a published version again, if its file was removed.

    Args:
        rejects: schema.REJECTS of that version.
    """
    url = storage.join(dataset, manifest.contact_sheet)
    if not storage.exists(url):
        shards = [storage.join(dataset, file.path) for file in manifest.shards(TRAIN)]
        png = previews.draw_dataset_sheet(shards, manifest.counts[TRAIN], rejects, manifest.pixels)
        storage.write_bytes(url, png)


def _shard_sizes(config: Config, outcome: PreprocessOutcome) -> dict[str, int]:
    """Return the rows per shard of each split.

    Raises:
        InputError: preprocess.rows_per_shard gives shards of 2 GiB or more.
    """
    pixels, settings = config.pixels, config.preprocess
    max_rows = arrow.MAX_ARRAY_BYTES // pixels.image_bytes
    sizes = {}
    for split in SPLITS:
        num_rows = sum(outcome.counts[split].values())
        target_rows = shards.rows_per_shard(
            settings.rows_per_shard, pixels.image_bytes, num_rows, settings.min_shards
        )
        if min(target_rows, num_rows) > max_rows:
            raise InputError(
                f"preprocess.rows_per_shard {settings.rows_per_shard}: a shard of "
                f"{target_rows} rows of {pixels.image_bytes} bytes is 2 GiB or more; use at most "
                f"{max_rows}, or auto"
            )
        sizes[split] = (
            shards.stable_rows_per_shard(outcome.selections, split, target_rows)
            if settings.rows_per_shard == "auto"
            else target_rows
        )
    return sizes


def _fingerprint(config: Config, labels: list[str], shard_files: Iterable[ShardFile]) -> str:
    """Digest the rows and their order; the location of the dataset does not matter."""
    pixels = config.pixels
    shape = [pixels.height_px, pixels.width_px, pixels.channels]
    rows = [[file.split, file.rows, file.digest] for file in shard_files]
    text = json.dumps([schema.SCHEMA_VERSION, shape, labels, rows])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
