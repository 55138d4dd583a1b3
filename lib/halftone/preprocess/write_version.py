"""Write the files of a dataset's next version, without publishing them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Optional

import halftone
from halftone import storage
from halftone.config import Config
from halftone.dataset import previews, schema
from halftone.dataset.manifest import CONTACT_SHEETS, Manifest, read_shards
from halftone.dataset.plain_reads import refuse_plain_reads
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.preprocess import shards
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.outcome import PreprocessOutcome
from halftone.preprocess.shard_writer import ShardWriter, write_shards
from halftone.sample.sample_info import read_sample_description


def write_dataset_version(
    context: PreprocessContext,
    outcome: PreprocessOutcome,
    *,
    conflict_labels: str,
    images_digest: str,
    listed: str,
) -> Manifest:
    """Write all files that the previous version does not have; return the new manifest.

    Args:
        conflict_labels: digest_conflict_labels of the conflicts.
        images_digest: of the listing; empty if images of it are left to a later run.
        listed: when the folder of images was last listed, UTC; empty if it was not.
    """
    config, catalogue, previous = context.config, context.catalogue, context.previous_manifest
    shard_files = _write_shards(context, outcome)
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
        gone=context.delta.num_missing,
        ignored=catalogue.ignored,
        rejects_by_reason=dict(outcome.rejects.num_by_reason.most_common()),
        counts=outcome.counts,
        fingerprint=_fingerprint(config, outcome.labels, shard_files),
        files=shard_files,
        rejects_files=outcome.rejects.files,
        duplicates_files=outcome.duplicates.files,
        near_duplicates=outcome.near_duplicates.num_rows,
        near_duplicates_files=outcome.near_duplicates.files,
        possible_label_errors=outcome.possible_label_errors,
        chance_near_fraction=outcome.chance_near_fraction,
        contact_sheet=_write_contact_sheet(context, outcome, shard_files),
        moved=context.delta.num_moved,
        conflict_labels=conflict_labels,
        images_digest=images_digest,
        listed=listed,
        archived=catalogue.num_archived,
        ungrouped=catalogue.num_ungrouped,
        split_salts=dict(catalogue.final_splits.salts),
        used_columns=list(catalogue.used_columns),
        unknown_columns=list(catalogue.unknown_columns),
        card=config.card,
        images_description=describe_images(catalogue.root, previous),
    )


def describe_images(root: str, previous: Optional[Manifest]) -> str:
    """Return the description of drawn images; rows of an earlier version stay drawn ones."""
    return read_sample_description(root) or (previous.images_description if previous else "")


def _write_shards(context: PreprocessContext, outcome: PreprocessOutcome) -> list[ShardFile]:
    """Write the new shards; return all shards of the version, ordered by split."""
    config = context.config
    file_rows = outcome.file_rows
    unchanged_files, planned = shards.plan_shards(
        file_rows, shards.shard_sizes(config, outcome.counts, file_rows), context.run_name
    )
    refuse_plain_reads(context.dataset, {shard.split for shard in planned})
    writer = ShardWriter(context.dataset, context.catalogue.root, outcome.labels, config.pixels)
    new_files = write_shards(context.session, writer, planned, context.run_name)
    return sorted([*unchanged_files, *new_files], key=lambda file: SPLITS.index(file.split))


def _write_contact_sheet(
    context: PreprocessContext, outcome: PreprocessOutcome, shard_files: list[ShardFile]
) -> str:
    """Draw the contact sheet of the train split and the rejects; return its path."""
    path = f"{CONTACT_SHEETS}/{context.run_name}.png"
    png = previews.draw_dataset_sheet(
        [storage.join(context.dataset, file.path) for file in shard_files if file.split == TRAIN],
        outcome.counts[TRAIN],
        [storage.join(context.dataset, file) for file in outcome.rejects.files],
        outcome.rejects.num_by_reason,
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
