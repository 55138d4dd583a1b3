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
from halftone.preprocess.changes import LISTED, Delta
from halftone.preprocess.duplicates import Evidence
from halftone.preprocess.outcome import judge
from halftone.preprocess.previous_version import Standing
from halftone.preprocess.write_version import write


class Made(NamedTuple):
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
) -> Made:
    """Make the dataset at `dataset` from the images below `images`, or bring it up to date.

    Args:
        session: gives the SparkSession; called only where there is work for it.
        retry_rejects: read the rejected images again, and no others.
        prune: forget images that are no longer there. Without it what is known is kept.

    Raises:
        InputError: the input, the output's folder or the share of rejects is not acceptable.
    """
    images, dataset = storage.normalise(images), storage.normalise(dataset)
    last = _last_version(dataset, config)
    found = catalogue.build(images, config, needs_classes=last is None)
    listed, unusable = _listed(found), found.unusable_keys()
    before = previous_version.EMPTY if last is None else previous_version.read(dataset, last)
    known = previous_version.known(before)
    delta = changes.compare(listed, known, unusable, retry_rejects=retry_rejects, prune=prune)
    is_known = arrow.is_in(unusable, known["key"]).all()
    if last is not None and delta.is_empty and is_known:
        storage.remove(storage.join(dataset, staging.FOLDER))
        manifest.tidy(dataset, last)
        return Made(last, 0)
    entries = arrow.where(found.entries, arrow.is_in(listed["key"], delta.read))
    stays = previous_version.without(before, arrow.together(delta.forget, unusable))
    made = _make(config, dataset, session(), found, entries, delta, stays, last)
    manifest.publish(dataset, made)
    storage.remove(storage.join(dataset, staging.FOLDER))
    manifest.tidy(dataset, made)
    return Made(made, entries.num_rows)


def _make(
    config: Config,
    dataset: str,
    spark: SparkSession,
    found: Catalogue,
    entries: pa.Table,
    delta: Delta,
    stays: Standing,
    last: Optional[Manifest],
) -> Manifest:
    """Decode the entries, judge them with what stays, and write; nothing is published yet."""
    run = staging.run_name(found, entries, delta, config, last)
    parts = staging.decode(spark, config, found.root, entries, dataset, run)
    evidence = Evidence(stays, last.labels if last else [], parts)
    groups = duplicates.same_digests(evidence)
    full_digests = staging.compare(spark, duplicates.look_alikes(groups))
    fates = duplicates.exact_fates(groups, full_digests)
    num_inputs = stays.inputs + len(delta.read) + len(found.unusable)
    outcome = judge(found, evidence, fates, num_inputs, config.preprocess)
    return write(spark, config, found, outcome, dataset, run, last, len(delta.gone))


def _listed(found: Catalogue) -> pa.Table:
    seen = [found.entries[name] for name in ("size_bytes", "modified")]
    return pa.table([found.keys(), *seen], schema=LISTED)


def _last_version(dataset: str, config: Config) -> Optional[Manifest]:
    """Return the manifest of the dataset that stands at `dataset`, None where nothing does."""
    if storage.exists(storage.join(dataset, manifest.NAME)):
        last = manifest.read(dataset)
        differing = _differing(last, config)
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
            f"{', ...' if len(held) > 3 else ''} and no {manifest.NAME}); give another --output"
        )
    return None


def _differing(last: Manifest, config: Config) -> list[str]:
    """Name the settings that all rows of a dataset have in common, where they differ."""
    old: dict[str, object] = {"seed": last.seed}
    new: dict[str, object] = {"seed": config.seed}
    for name in ("pixels", "splits"):
        old.update({f"{name}.{key}": value for key, value in getattr(last, name)})
        new.update({f"{name}.{key}": value for key, value in getattr(config, name)})
    old["preprocess.label_from"] = last.preprocess.label_from
    new["preprocess.label_from"] = config.preprocess.label_from
    return [f"{key} {old[key]!r} there, {new[key]!r} now" for key in old if old[key] != new[key]]
