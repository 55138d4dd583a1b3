"""Write the files of a dataset's next version, without publishing them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timezone

import numpy as np

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
    read_shards,
)
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.preprocess import row_notes, shards, staging
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.outcome import PreprocessOutcome, RowSelection
from halftone.preprocess.shard_writer import ShardWriter, write_shards
from halftone.preprocess.shards import FileRows
from halftone.spark.frames import build_table


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
        contact_sheet=_write_contact_sheet(context, outcome, shard_files, side_files[REJECTS]),
        moved=num_moved,
        conflict_labels=conflict_labels,
        ungrouped=catalogue.num_ungrouped,
        used_columns=list(catalogue.used_columns),
        unknown_columns=list(catalogue.unknown_columns),
    )


def _write_shards(context: PreprocessContext, outcome: PreprocessOutcome) -> list[ShardFile]:
    """Write the new shards; return all shards of the version, ordered by split."""
    config = context.config
    file_rows = _file_rows(context, outcome)
    unchanged_files, planned = shards.plan_shards(
        file_rows, shards.shard_sizes(config, outcome.counts, file_rows), context.run_name
    )
    writer = ShardWriter(
        context.dataset, context.catalogue.root, outcome.labels, config.pixels.shape
    )
    new_files = write_shards(context.spark, writer, planned, context.run_name)
    return sorted([*unchanged_files, *new_files], key=lambda file: SPLITS.index(file.split))


def _file_rows(context: PreprocessContext, outcome: PreprocessOutcome) -> list[FileRows]:
    """Write the notes on the rows that are left out; return what remains of each file."""
    kept: dict[str, list[RowSelection]] = {}
    for selection in outcome.selections:
        kept.setdefault(selection.url, []).append(selection)
    file_rows = []
    for number, (url, selections) in enumerate(kept.items()):
        num_rows = storage.count_rows(url) or 0
        dropped = np.setdiff1d(
            np.arange(num_rows), np.concatenate([s.row_numbers for s in selections])
        )
        notes: tuple[str, ...] = ()
        if len(dropped):
            folder = storage.join(context.dataset, staging.FOLDER, context.run_name, "resolved")
            notes = (storage.join(folder, f"{number:06d}.parquet"),)
            rows = [(int(row), row_notes.DROPPED, "", -1) for row in dropped]
            storage.write_table(notes[0], build_table(rows, row_notes.ROW_NOTES))
        file_rows += [
            FileRows(url, s.split, len(s.row_numbers), notes, s.unchanged_shard) for s in selections
        ]
    return file_rows


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
    context: PreprocessContext,
    outcome: PreprocessOutcome,
    shard_files: list[ShardFile],
    rejects_files: list[str],
) -> str:
    """Draw the contact sheet of the train split and the rejects; return its path."""
    path = f"{CONTACT_SHEETS}/{context.run_name}.png"
    png = previews.draw_dataset_sheet(
        [storage.join(context.dataset, file.path) for file in shard_files if file.split == TRAIN],
        outcome.counts[TRAIN],
        [storage.join(context.dataset, file) for file in rejects_files],
        outcome.rejects_by_reason(),
        context.config.pixels,
    )
    storage.write_bytes(storage.join(context.dataset, path), png)
    return path


def redraw_missing_contact_sheet(dataset: str, manifest: Manifest) -> None:
    """Draw the contact sheet of a published version again, if its file was removed."""
    url = storage.join(dataset, manifest.contact_sheet)
    if not storage.exists(url):
        shard_files = read_shards(dataset, manifest, TRAIN)
        png = previews.draw_dataset_sheet(
            [storage.join(dataset, file.path) for file in shard_files],
            manifest.counts[TRAIN],
            [storage.join(dataset, file) for file in manifest.rejects_files],
            manifest.rejects_by_reason,
            manifest.pixels,
        )
        storage.write_bytes(url, png)


def _fingerprint(config: Config, labels: list[str], shard_files: Iterable[ShardFile]) -> str:
    """Digest the rows and their order; the location of the dataset does not matter."""
    pixels = config.pixels
    shape = [pixels.height_px, pixels.width_px, pixels.channels]
    rows = [[file.split, file.rows, file.digest] for file in shard_files]
    text = json.dumps([schema.SCHEMA_VERSION, shape, labels, rows])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
