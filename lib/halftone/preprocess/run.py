"""Turn a folder of raw images into a dataset, in Spark.

A run has these steps, each a DataFrame whose work is done by Arrow UDFs. The steps that do not read
images need no Spark if the images are few, see LocalFrame:

1. List the images and assign each a label, a split and a position (`catalogue`).
2. Compare them with the images that the previous version knows (`changes`).
3. Decode the new ones, block by block, into staged parts (`staging`). Rows that only get another
   label or split are copied from the old shards (`moved_rows`).
4. Find duplicates and near duplicates among all images, and decide what becomes of each
   (`outcome`).
5. Write the rows as shards of equal size, and publish them with one manifest at the end
   (`write_version`).

What a step knows of single images is in files of the dataset's staging folder, which the next step
reads; the driver holds a few numbers for each file. Each step depends only on its input and the
config. A rerun after a kill reuses the staged parts and produces the same bytes.
"""

from __future__ import annotations

from functools import cache
from typing import Callable, NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone import measures, storage
from halftone.card.data_card import render_data_card
from halftone.card.files import DATA_CARD, write_card
from halftone.config import Config, check_written_dataset
from halftone.config.base import ConfigSection
from halftone.config.effects import result_settings
from halftone.dataset import integrity, manifest, schema
from halftone.dataset.delta_tables import publish_delta_tables
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.listing import ColumnTitles, ListingPlan
from halftone.listing.changed_folder import ChangedFolder
from halftone.locking.lock import LOCK_FOLDER, Lock
from halftone.locking.output import check_output, hold_output
from halftone.preprocess import (
    catalogue,
    database_query,
    moved_rows,
    named_changes,
    sources,
    staging,
)
from halftone.preprocess.catalogue import Catalogue, build_catalogue
from halftone.preprocess.changes import find_changes
from halftone.preprocess.conflict_labels import digest_conflict_labels
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.database_query import find_query, plan_query
from halftone.preprocess.decode_block import DecodeJob
from halftone.preprocess.delta import Delta
from halftone.preprocess.entries import CONFLICT
from halftone.preprocess.named_changes import plan_images
from halftone.preprocess.outcome import PreprocessOutcome, StagedRows, decide_outcome
from halftone.preprocess.previous_version import VersionFile, list_files, read_known
from halftone.preprocess.side_tables import TableSources
from halftone.preprocess.write_version import (
    describe_images,
    redraw_missing_contact_sheet,
    write_dataset_version,
)
from halftone.progress import log_notes

# Settings of splits that may change: rows are moved to their new split, see `sources`.
_SOURCES = ("from_path", "group_by")
_CHANGES = "changes"  # folder below the staging folder


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
        session: returns the SparkSession.
        retry_rejects: read the rejected images again, and no others.
        prune: drop images that no longer exist. Without it, their rows are kept.

    Raises:
        InputError: the input, the output folder or the share of rejects is not acceptable.
        LockHeldError: another process writes to the dataset.
    """
    check_written_dataset(dataset)
    images, dataset = storage.normalise_url(images), storage.normalise_url(dataset)
    if config.paths.changes:
        named_changes.check_changes(config.paths.changes, images, config, retry_rejects)
    _read_previous_manifest(dataset, config)
    check_output(dataset)  # before the images are listed, which may take minutes
    session = cache(session)
    query = find_query(config.preprocess)
    plan = None if query or config.paths.changes else plan_images(images, config)
    with hold_output(dataset, "preprocess") as lock:
        if query is not None:
            titles = ColumnTitles(label=config.preprocess.label_column)
            folder = storage.join(dataset, staging.FOLDER, database_query.FOLDER)
            plan = plan_query(session(), query, images, titles, folder)
            log_notes(plan.notes)
        elif plan is None:
            previous_manifest = _read_previous_manifest(dataset, config)
            plan = named_changes.plan_changes(session, images, dataset, config, previous_manifest)
        result = _update(config, plan, dataset, session, lock, retry_rejects, prune)
    _measure(result.manifest)
    return result


def _update(
    config: Config,
    plan: ListingPlan,
    dataset: str,
    session: Callable[[], SparkSession],
    lock: Lock,
    retry_rejects: bool,
    prune: bool,
) -> PreprocessResult:
    previous_manifest = _read_previous_manifest(dataset, config)
    if previous_manifest is not None:  # a killed run, or an older Halftone, has not written them
        publish_delta_tables(dataset, previous_manifest)
    staging_folder = storage.join(dataset, staging.FOLDER)
    images = build_catalogue(
        session,
        plan,
        config,
        storage.join(staging_folder, catalogue.FOLDER),
        previous_manifest,
    )
    log_notes(images.notes[len(plan.notes) :])
    listed = named_changes.time_of_listing(plan, previous_manifest)
    if previous_manifest and isinstance(plan.source, ChangedFolder):
        # The previous version has no rows of what is no image.
        images = images._replace(ignored=previous_manifest.ignored)
    files = list_files(dataset, previous_manifest) if previous_manifest else []
    delta = _find_changes(session, images, files, previous_manifest, dataset, retry_rejects, prune)
    new_sources = sources.describe_sources(
        config.preprocess, config.splits, list(images.used_columns)
    )
    old_sources = sources.manifest_sources(previous_manifest) if previous_manifest else {}
    sources.check_changed_sources(dataset, old_sources, new_sources, delta, retry_rejects)
    changed_sources = sources.find_changed_sources(old_sources, new_sources)
    drop_empty_labels = prune or sources.LABELS in changed_sources
    if (
        previous_manifest is not None
        and delta.is_empty
        and delta.all_unusable_known
        and not (drop_empty_labels and previous_manifest.empty_labels())
    ):
        if changed_sources:
            previous_manifest = _replace_sources(previous_manifest, config, images)
        texts = {
            "card": config.card,
            "images_description": describe_images(images.root, previous_manifest),
        }
        if config.paths.changes and images.digest == previous_manifest.images_digest:
            texts["listed"] = listed
        described = previous_manifest.model_copy(update=texts)
        if changed_sources or described != previous_manifest:
            previous_manifest = manifest.publish_manifest(dataset, described)
        write_card(dataset, DATA_CARD, render_data_card(previous_manifest))
        redraw_missing_contact_sheet(dataset, previous_manifest)
        _clean_up(dataset, previous_manifest)
        return PreprocessResult(previous_manifest, 0)
    run_name = staging.compute_run_name(images.root, config, previous_manifest, delta.digest)
    context = PreprocessContext(
        *(session(), config, images, dataset, run_name, previous_manifest, files, delta)
    )
    outcome = decide_outcome(context, _stage_rows(context), drop_empty_labels=drop_empty_labels)
    new_manifest = write_dataset_version(
        context,
        outcome,
        conflict_labels=_digest_conflicts(context, outcome),
        # A run that only retries rejects leaves new images to the next run.
        images_digest="" if retry_rejects else images.digest,
        listed=listed,
    )
    lock.check()
    new_manifest = manifest.publish_manifest(dataset, new_manifest)
    publish_delta_tables(dataset, new_manifest)
    # After the manifest: a card of a version that does not exist would mislead. A killed job leaves
    # the card of the previous version, and the next run replaces it.
    write_card(dataset, DATA_CARD, render_data_card(new_manifest))
    _clean_up(dataset, new_manifest)
    return PreprocessResult(new_manifest, delta.num_read + delta.num_moved)


def _measure(made: Manifest) -> None:
    """Set the measures of a dataset, for monitoring."""
    for split, counts in made.counts.items():
        measures.set_value(measures.DATASET_ROWS, sum(counts.values()), split)
    for reason, count in made.rejects_by_reason.items():
        measures.set_value(measures.DATASET_REJECTS, count, reason)
    measures.set_value(measures.DATASET_DUPLICATES, made.duplicates)
    measures.set_value(measures.DATASET_BYTES, made.size_bytes())
    measures.set_value(measures.DATASET_VERSION, made.version)


def _find_changes(
    session: Callable[[], SparkSession],
    images: Catalogue,
    files: list[VersionFile],
    previous_manifest: Optional[Manifest],
    dataset: str,
    retry_rejects: bool,
    prune: bool,
) -> Delta:
    """Compare the images with those of the previous version."""
    if previous_manifest is None:
        return Delta.of_new_dataset(
            images.read_entries,
            num_usable=images.summary.num_images,
            num_unusable=images.summary.num_unusable,
            digest=images.digest,
            retry_rejects=retry_rejects,
        )
    if _is_unchanged(previous_manifest, images):
        return Delta()
    spark = session()
    entries = images.read_entries(spark)
    return find_changes(
        spark,
        entries,
        read_known(spark, files),
        storage.join(dataset, staging.FOLDER, _CHANGES),
        images.inputs,
        previous_manifest.inputs,
        retry_rejects=retry_rejects,
        prune=prune,
        conflict_labels=previous_manifest.conflict_labels,
    )


def _is_unchanged(previous_manifest: Manifest, images: Catalogue) -> bool:
    """Return whether the previous version was made of the same images, so nothing is to be done."""
    return (
        previous_manifest.images == images.root
        and previous_manifest.images_digest == images.digest
        and not previous_manifest.gone
    )


def _stage_rows(context: PreprocessContext) -> StagedRows:
    """Decode the images to read, and copy the rows to move."""
    config, delta = context.config, context.delta
    job = DecodeJob(
        root=context.catalogue.root,
        parts=storage.join(context.folder, "parts"),
        pixels=config.pixels,
        read_threads=config.preprocess.read_threads,
    )
    entries = delta.read_images(context.session)
    new = staging.stage_images(entries, delta.num_read, job)
    moved = moved_rows.stage_moved_rows(
        context.session, context.files, delta.notes, storage.join(context.folder, "moved")
    )
    return StagedRows(moved, new)


def _digest_conflicts(context: PreprocessContext, outcome: PreprocessOutcome) -> str:
    """Digest the labels of the images that are rejected as conflicts."""
    if not outcome.rejects.num_by_reason[CONFLICT]:
        return ""
    num_images = context.catalogue.inputs + outcome.rejects.num_rows
    session = context.session_for(num_images)
    urls = [storage.join(context.dataset, path) for path in outcome.rejects.files]
    rejects = TableSources(previous=[(url, ()) for url in urls]).read(session, schema.REJECTS)
    return digest_conflict_labels(context.catalogue.read_entries(session), rejects, num_images)


def _replace_sources(data: Manifest, config: Config, images: Catalogue) -> Manifest:
    """Return the manifest with other sources, which give all rows what they have already."""
    return data.model_copy(
        update={
            "preprocess": config.preprocess,
            "splits": config.splits,
            "used_columns": list(images.used_columns),
            "unknown_columns": list(images.unknown_columns),
            "split_salts": dict(images.final_splits.salts),
            "images_digest": images.digest if data.images_digest else "",
        }
    )


def _clean_up(dataset: str, current_manifest: Manifest) -> None:
    storage.remove(storage.join(dataset, staging.FOLDER))
    manifest.remove_unreferenced_files(dataset, current_manifest)


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
