"""Turn a folder of raw images into a dataset: the driver lists them, Spark workers decode them.

A run has three steps:

1. List the images and assign each a label, a split and a position (`catalogue`).
2. Decode the images, block by block and in parallel, into staged parts (`staging`).
   Rows that only get another label or split are copied from the old shards (`moved_rows`).
3. Resolve duplicates, write the rows in parallel as shards of equal size, and publish them with
   one manifest at the end (`outcome`, `write_version`).

Each step depends only on its input and the config. A rerun after a kill reuses the staged parts
and produces the same bytes.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import Config
from halftone.config.base import ConfigSection
from halftone.config.effects import result_settings
from halftone.dataset import integrity, manifest, schema
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.locking.lock import LOCK_FOLDER, Lock
from halftone.locking.output import check_free, hold_output
from halftone.preprocess import changes, duplicates, moved_rows, sources, staging
from halftone.preprocess.catalogue import Catalogue, build_catalogue
from halftone.preprocess.changes import LISTED_IMAGES, Delta
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.duplicates import Candidates
from halftone.preprocess.outcome import resolve_duplicates
from halftone.preprocess.previous_version import (
    EMPTY_VERSION,
    PreviousVersion,
    exclude_images,
    known_images,
    read_version,
)
from halftone.preprocess.write_version import (
    redraw_missing_contact_sheet,
    write_dataset_version,
)
from halftone.progress import print_notes

# Settings of splits that may change: rows are moved to their new split, see `sources`.
_SOURCES = ("from_path", "group_by")


class PreprocessResult(NamedTuple):
    """The dataset's manifest after a run, and the work that the run did."""

    manifest: Manifest
    # Images that were read, and rows that got another label or split; 0 if the dataset was up to
    # date.
    num_changed: int


def preprocess(
    config: Config,
    images: str,
    dataset: str,
    session: Callable[[], SparkSession],
    *,
    retry_rejects: bool = False,
    prune: bool = False,
) -> PreprocessResult:
    """Create the dataset at `dataset` from the images below `images`, or update it.

    Args:
        session: returns the SparkSession; called only if there is work for it.
        retry_rejects: read the rejected images again, and no others.
        prune: drop images that no longer exist. Without it, their rows are kept.

    Raises:
        InputError: the input, the output folder or the share of rejects is not acceptable.
        LockHeldError: another process writes to the dataset.
    """
    images, dataset = storage.normalise_url(images), storage.normalise_url(dataset)
    is_new = _read_previous_manifest(dataset, config) is None
    check_free(dataset)  # before the images are listed, which may take minutes
    catalogue = build_catalogue(images, config, require_classes=is_new)
    print_notes(catalogue.notes)
    with hold_output(dataset, "preprocess") as lock:
        return _update(config, catalogue, dataset, session, lock, retry_rejects, prune)


def _update(
    config: Config,
    catalogue: Catalogue,
    dataset: str,
    session: Callable[[], SparkSession],
    lock: Lock,
    retry_rejects: bool,
    prune: bool,
) -> PreprocessResult:
    previous_manifest = _read_previous_manifest(dataset, config)
    listed, unusable_keys = _listed_images(catalogue), catalogue.unusable_keys()
    previous_version = (
        EMPTY_VERSION if previous_manifest is None else read_version(dataset, previous_manifest)
    )
    known = known_images(previous_version)
    delta = changes.find_changes(
        listed,
        known,
        unusable_keys,
        retry_rejects=retry_rejects,
        prune=prune,
        conflict_labels=previous_manifest.conflict_labels if previous_manifest else "",
    )
    new_sources = sources.describe_sources(
        config.preprocess, config.splits, list(catalogue.used_columns)
    )
    old_sources = sources.manifest_sources(previous_manifest) if previous_manifest else {}
    sources.check_changed_sources(
        dataset, old_sources, new_sources, known, delta.missing, retry_rejects
    )
    changed_sources = sources.find_changed_sources(old_sources, new_sources)
    drop_empty_labels = prune or sources.LABELS in changed_sources
    all_unusable_known = arrow.is_in(unusable_keys, known[schema.KEY]).all()
    if (
        previous_manifest is not None
        and delta.is_empty
        and all_unusable_known
        and not (drop_empty_labels and previous_manifest.empty_labels())
    ):
        if changed_sources:
            previous_manifest = _replace_sources(previous_manifest, config, catalogue)
            previous_manifest = manifest.publish_manifest(dataset, previous_manifest)
        redraw_missing_contact_sheet(dataset, previous_manifest)
        _clean_up(dataset, previous_manifest)
        return PreprocessResult(previous_manifest, 0)
    entries, moved = (
        arrow.filter_rows(catalogue.entries, arrow.is_in(listed[schema.KEY], keys))
        for keys in (delta.to_read, delta.to_move)
    )
    run_name = staging.compute_run_name(catalogue, entries, delta, config, previous_manifest, moved)
    context = PreprocessContext(session(), config, catalogue, dataset, run_name, previous_manifest)
    new_manifest = _write_version(
        context, entries, listed, delta, previous_version, drop_empty_labels
    )
    lock.check()
    new_manifest = manifest.publish_manifest(dataset, new_manifest)
    _clean_up(dataset, new_manifest)
    return PreprocessResult(new_manifest, entries.num_rows + moved.num_rows)


def _replace_sources(data: Manifest, config: Config, catalogue: Catalogue) -> Manifest:
    """Return the manifest with other sources, which give all rows what they have already."""
    return data.model_copy(
        update={
            "preprocess": config.preprocess,
            "splits": config.splits,
            "used_columns": list(catalogue.used_columns),
            "unknown_columns": list(catalogue.unknown_columns),
        }
    )


def _write_version(
    context: PreprocessContext,
    entries: pa.Table,
    listed: pa.Table,
    delta: Delta,
    previous_version: PreviousVersion,
    drop_empty_labels: bool,
) -> Manifest:
    """Decode `entries`, move rows, resolve duplicates among all images, and write all files.

    The returned manifest is not published yet.

    Args:
        listed: changes.LISTED_IMAGES.
    """
    catalogue, previous_manifest = context.catalogue, context.previous_manifest
    excluded = (delta.to_remove, delta.to_move, catalogue.unusable_keys())
    retained = exclude_images(previous_version, arrow.concat_columns(*excluded))
    candidates = Candidates(
        retained,
        previous_manifest.labels if previous_manifest else [],
        staging.stage_images(context, entries),
        moved_rows.stage_moved_rows(
            context, moved_rows.find_moved_rows(previous_version, delta.to_move, listed)
        ),
    )
    groups = duplicates.group_by_digest(candidates)
    gone_keys = duplicates.find_gone_keys(groups, delta.missing)
    full_digests = staging.compute_full_digests(
        context.spark, duplicates.unverified_groups(groups, gone_keys)
    )
    resolutions = duplicates.resolve_exact_duplicates(groups, full_digests, gone_keys)
    num_changed = len(delta.to_read) + len(delta.to_move)
    outcome = resolve_duplicates(
        catalogue,
        candidates,
        resolutions,
        retained.inputs + num_changed + len(catalogue.unusable_images),
        context.config.preprocess,
        drop_empty_labels=drop_empty_labels,
    )
    return write_dataset_version(
        context,
        outcome,
        num_missing=len(delta.missing),
        num_moved=len(delta.to_move),
        conflict_labels=changes.digest_labels(listed, outcome.conflict_keys()),
    )


def _clean_up(dataset: str, current_manifest: Manifest) -> None:
    storage.remove(storage.join(dataset, staging.FOLDER))
    manifest.remove_unreferenced_files(dataset, current_manifest)


def _listed_images(catalogue: Catalogue) -> pa.Table:
    """Return LISTED_IMAGES, one row per catalogue entry."""
    columns = [catalogue.entries[name] for name in LISTED_IMAGES.names[1:]]
    return pa.table([catalogue.keys(), *columns], schema=LISTED_IMAGES)


def _read_previous_manifest(dataset: str, config: Config) -> Optional[Manifest]:
    """Return the manifest of the dataset at `dataset`, or None if there is no dataset yet."""
    if storage.exists(storage.join(dataset, manifest.MANIFEST_NAME)):
        previous_manifest = manifest.read_manifest(dataset)
        integrity.check_all_files(dataset, previous_manifest)
        differences = _changed_settings(previous_manifest, config)
        if differences:
            raise InputError(
                f"{dataset}: the dataset was made with other settings and is left unchanged: "
                f"{'; '.join(differences)}. Give another --output, or remove the old dataset"
            )
        return previous_manifest
    names = [name for name in storage.list_names(dataset) if name != LOCK_FOLDER]
    if names and staging.FOLDER not in names:
        shown = f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        raise InputError(
            f"{dataset}: exists and is not a dataset (it holds {shown} and no "
            f"{manifest.MANIFEST_NAME}); give another --output"
        )
    return None


def _changed_settings(previous_manifest: Manifest, config: Config) -> list[str]:
    """Describe each setting that must be the same for all rows of a dataset and differs."""
    old: dict[str, object] = {"seed": previous_manifest.seed}
    new: dict[str, object] = {"seed": config.seed}
    for name in ("pixels", "splits"):
        old.update(_fixed_settings(name, getattr(previous_manifest, name)))
        new.update(_fixed_settings(name, getattr(config, name)))
    return [f"{key} was {old[key]!r}, is now {new[key]!r}" for key in old if old[key] != new[key]]


def _fixed_settings(name: str, section: ConfigSection) -> dict[str, object]:
    settings = result_settings(section, mode="python")
    return {f"{name}.{key}": value for key, value in settings.items() if key not in _SOURCES}
