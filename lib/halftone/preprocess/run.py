"""Raw images to a dataset: Spark hands out paths, its Python workers read, decode and write.

Three steps. The catalogue lists the images and gives each its label, split and place. Blocks of
it are decoded, in parallel, into staged parts. What became of each image is then known, so the
rows are cut into shards of equal size, which are written, in parallel, and made visible by one
manifest at the end. Every step is a function of the input and the config alone: a rerun after a
kill takes the parts that are there and ends with the same bytes.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import Config
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.preprocess import catalogue, changes, duplicates, previous_version, staging
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.changes import LISTED_IMAGES, Delta
from halftone.preprocess.duplicates import Candidates
from halftone.preprocess.outcome import resolve_duplicates
from halftone.preprocess.previous_version import PreviousVersion
from halftone.preprocess.write_version import write_dataset_version


class PreprocessResult(NamedTuple):
    """What a run of preprocess ends with."""

    manifest: Manifest
    num_read: int  # images that were read; 0 where there was nothing to do


def preprocess(
    config: Config,
    images: str,
    dataset: str,
    session: Callable[[], SparkSession],
    *,
    retry_rejects: bool = False,
    prune: bool = False,
) -> PreprocessResult:
    """Make the dataset at `dataset` from the images below `images`, or bring it up to date.

    Args:
        session: gives the SparkSession; called only where there is work for it.
        retry_rejects: read the rejected images again, and no others.
        prune: forget images that are no longer there. Without it what is known is kept.

    Raises:
        InputError: the input, the output's folder or the share of rejects is not acceptable.
    """
    images, dataset = storage.normalise_url(images), storage.normalise_url(dataset)
    last = _read_previous_manifest(dataset, config)
    found = catalogue.build_catalogue(images, config, require_classes=last is None)
    listed, unusable = _listed_images(found), found.unusable_keys()
    before = (
        previous_version.EMPTY_VERSION
        if last is None
        else previous_version.read_version(dataset, last)
    )
    known = previous_version.known_images(before)
    delta = changes.find_changes(listed, known, unusable, retry_rejects=retry_rejects, prune=prune)
    is_known = arrow.is_in(unusable, known["key"]).all()
    if last is not None and delta.is_empty and is_known:
        storage.remove(storage.join(dataset, staging.FOLDER))
        manifest.remove_unreferenced_files(dataset, last)
        return PreprocessResult(last, 0)
    entries = arrow.filter_rows(found.entries, arrow.is_in(listed["key"], delta.to_read))
    stays = previous_version.exclude_images(before, arrow.concat_columns(delta.to_remove, unusable))
    made = _write_version(config, dataset, session(), found, entries, delta, stays, last)
    manifest.publish_manifest(dataset, made)
    storage.remove(storage.join(dataset, staging.FOLDER))
    manifest.remove_unreferenced_files(dataset, made)
    return PreprocessResult(made, entries.num_rows)


def _write_version(
    config: Config,
    dataset: str,
    spark: SparkSession,
    found: Catalogue,
    entries: pa.Table,
    delta: Delta,
    stays: PreviousVersion,
    last: Optional[Manifest],
) -> Manifest:
    """Decode the entries, judge them with what stays, and write; nothing is published yet."""
    run = staging.run_name(found, entries, delta, config, last)
    parts = staging.stage_images(spark, config, found.root, entries, dataset, run)
    evidence = Candidates(stays, last.labels if last else [], parts)
    groups = duplicates.group_by_digest(evidence)
    full_digests = staging.compute_full_digests(spark, duplicates.unverified_groups(groups))
    fates = duplicates.resolve_exact_duplicates(groups, full_digests)
    num_inputs = stays.inputs + len(delta.to_read) + len(found.unusable_images)
    outcome = resolve_duplicates(found, evidence, fates, num_inputs, config.preprocess)
    return write_dataset_version(
        spark, config, found, outcome, dataset, run, last, len(delta.missing)
    )


def _listed_images(found: Catalogue) -> pa.Table:
    seen = [found.entries[name] for name in ("size_bytes", "modified")]
    return pa.table([found.keys(), *seen], schema=LISTED_IMAGES)


def _read_previous_manifest(dataset: str, config: Config) -> Optional[Manifest]:
    """Return the manifest of the dataset that stands at `dataset`, None where nothing does."""
    if storage.exists(storage.join(dataset, manifest.MANIFEST_NAME)):
        last = manifest.read_manifest(dataset)
        differing = _changed_settings(last, config)
        if differing:
            raise InputError(
                f"{dataset}: the dataset there was made with other settings, and is left alone: "
                f"{'; '.join(differing)}. Give another --output, or remove the old dataset"
            )
        return last
    held = storage.list_names(dataset)
    if held and staging.FOLDER not in held:
        raise InputError(
            f"{dataset}: exists and is not a dataset (it holds {', '.join(held[:3])}"
            f"{', ...' if len(held) > 3 else ''} and no {manifest.MANIFEST_NAME}); give another --output"
        )
    return None


def _changed_settings(last: Manifest, config: Config) -> list[str]:
    """Name the settings that all rows of a dataset have in common, where they differ."""
    old: dict[str, object] = {"seed": last.seed}
    new: dict[str, object] = {"seed": config.seed}
    for name in ("pixels", "splits"):
        old.update({f"{name}.{key}": value for key, value in getattr(last, name)})
        new.update({f"{name}.{key}": value for key, value in getattr(config, name)})
    old["preprocess.label_from"] = last.preprocess.label_from
    new["preprocess.label_from"] = config.preprocess.label_from
    return [f"{key} {old[key]!r} there, {new[key]!r} now" for key in old if old[key] != new[key]]
