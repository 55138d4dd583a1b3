"""Scores raw images: decodes them as for training, and writes predictions, in one pass.

Every image ends as a prediction or as a reject. With `score.only_new`, predictions of an earlier
run with the same model are kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from operator import sub
from typing import NamedTuple, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from halftone import arrow, model_directory, storage
from halftone.config import Config
from halftone.dataset import integrity, manifest, schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import VALIDATION
from halftone.errors import InputError
from halftone.locking.output import check_free, hold_output
from halftone.metrics.model import ImageScores
from halftone.model_directory import ModelInfo
from halftone.preprocess import catalogue, changes, decode_block, listing, staging
from halftone.preprocess.changes import LISTED_IMAGES, Delta
from halftone.preprocess.decode_block import PART_NAME
from halftone.preprocess.listed_files import UNREADABLE, reject_table
from halftone.progress import print_notes
from halftone.scoring import (
    previous_predictions,
    scores_directory,
    scoring_job,
    summary_parts,
)
from halftone.scoring.collect_summary import collect_summary, plan_merges
from halftone.scoring.fit_thresholds import (
    check_dataset,
    check_num_classes,
    needs_validation_split,
)
from halftone.scoring.image_task import REJECTS_PREFIX, SOURCES, score_block_or_file
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.previous_predictions import PreviousPredictions
from halftone.scoring.scores_directory import PREDICTIONS
from halftone.scoring.scoring_job import ScoringJob, SessionFactory
from halftone.scoring.summary_parts import SUMMARY_PARTS
from halftone.scoring.written_files import WrittenRows
from halftone.spark import frames
from halftone.spark.actions import ActionProgress
from halftone.spark.session import num_cores

# The images that the listing shows to be unreadable; a rejects file like those of blocks.
_UNREADABLE_FILE = f"{REJECTS_PREFIX}unreadable.parquet"


class _ImageListing(NamedTuple):
    """The images below a folder."""

    root: str
    entries: pa.Table  # catalogue.ENTRIES; the label is empty if it is not known
    unreadable: pa.Table  # schema.REJECTS of images that the listing shows to be unreadable
    ignored: dict[str, int]  # files that are no images, by their ending or kind
    notes: tuple[str, ...]  # what the user should know before the work begins

    def listed_table(self) -> pa.Table:
        """Return changes.LISTED_IMAGES."""
        keys = arrow.chunked_string_array(
            storage.join(self.root, path) for (path,) in arrow.iter_rows(self.entries, "path")
        )
        columns = [self.entries[name] for name in LISTED_IMAGES.names[1:]]
        return pa.table([keys, *columns], schema=LISTED_IMAGES)


class _RunPlan(NamedTuple):
    """What there is to do, compared with the scores at the output."""

    name: str  # of the run
    last: Optional[ImageScores]  # what it was compared with
    previous: PreviousPredictions  # that can be kept
    delta: Delta
    standing: Optional[ImageScores]  # if there is nothing to do
    is_damaged: bool = False  # a run of this name was published, and some of its files are gone


class _ImageRun(NamedTuple):
    """A run over the images that have to be read."""

    job: ScoringJob
    name: str
    root: str  # folder of images
    entries: pa.Table  # catalogue.ENTRIES to read
    unreadable: pa.Table  # schema.REJECTS of images that are not read
    previous: PreviousPredictions  # kept from earlier runs

    @property
    def folder(self) -> str:
        return storage.join(self.job.output, PREDICTIONS, self.name)


def score_images(
    config: Config, images: str, model: str, output: str, session: SessionFactory
) -> ImageScores:
    """Score the images below `images` and return the content of metrics.json at `output`.

    Args:
        session: returns the SparkSession; called only if there is something to score.

    Raises:
        InputError: there are no images, the output cannot be written, or the settings need a
            dataset that is missing.
        LockHeldError: another process writes to the output.
        RunError: images were lost; this must never happen.
    """
    job = scoring_job.start_scoring(config, model, output)
    data = _read_validation_dataset(job)
    check_free(job.output)  # before the images are listed, which may take minutes
    image_listing = _list_images(storage.normalise_url(images), config, job.model_info)
    print_notes(image_listing.notes)
    fingerprint = job.fingerprint(data)
    plan = _plan_run(job, image_listing, fingerprint)
    if plan.standing is not None:
        return plan.standing
    with hold_output(job.output, "score") as lock:
        # Another process may have scored between the look and the lock.
        if scores_directory.read_previous_scores(job.output, ImageScores) != plan.last:
            plan = _plan_run(job, image_listing, fingerprint)
        if plan.standing is not None:
            return plan.standing
        spark, dataset = session(), storage.normalise_url(config.paths.dataset or "")
        run = _prepare_run(job, image_listing, plan)
        predictor = job.fitted_scorer(spark, dataset, data).predictor
        summary = _score_entries(spark, predictor, run)
        scores = _build_scores(run, fingerprint, image_listing.ignored, predictor, summary)
        lock.check()
        files = [*scores.predictions, *scores.rejects_files]
        scores_directory.publish_scores(job.output, scores, files)
        return scores


def _plan_run(job: ScoringJob, image_listing: _ImageListing, fingerprint: str) -> _RunPlan:
    """Compare the listed images with the scores at the output. Writes nothing."""
    last = scores_directory.read_previous_scores(job.output, ImageScores)
    reusable = last if job.settings.only_new and last and last.basis == fingerprint else None
    previous = previous_predictions.read_previous_predictions(job.output, reusable)
    known, unreadable_keys = previous.known_images(), image_listing.unreadable[schema.PATH]
    delta = changes.find_changes(image_listing.listed_table(), known, unreadable_keys)
    is_unchanged = delta.is_empty and bool(arrow.is_in(unreadable_keys, known[schema.KEY]).all())
    name = _run_name(fingerprint, image_listing, previous)
    is_same_run = last is not None and last.run == name
    standing = last if is_same_run or (reusable is not None and is_unchanged) else None
    if standing is not None and not _has_all_files(job.output, standing):
        return _RunPlan(name, last, previous, delta, None, is_damaged=is_same_run)
    return _RunPlan(name, last, previous, delta, standing)


def _has_all_files(output: str, scores: ImageScores) -> bool:
    """Return whether all files that the scores name are there with all their rows."""
    return scores_directory.holds_rows(
        output, scores.predictions, scores.rows
    ) and scores_directory.holds_rows(output, scores.rejects_files, scores.rejects)


def _prepare_run(job: ScoringJob, image_listing: _ImageListing, plan: _RunPlan) -> _ImageRun:
    if plan.is_damaged:
        # What is left belongs to blocks whose plan was removed when the run was published.
        storage.remove(storage.join(job.output, PREDICTIONS, plan.name))
    keys, delta = image_listing.listed_table()["key"], plan.delta
    # An image with another label is scored again: its loss depends on the label.
    to_score = arrow.concat_columns(delta.to_read, delta.to_move)
    unreadable = image_listing.unreadable
    to_drop = arrow.concat_columns(delta.to_remove, delta.to_move, unreadable[schema.PATH])
    return _ImageRun(
        job=job,
        name=plan.name,
        root=image_listing.root,
        entries=arrow.filter_rows(image_listing.entries, arrow.is_in(keys, to_score)),
        unreadable=unreadable,
        previous=previous_predictions.drop_images(plan.previous, to_drop, job.output, plan.name),
    )


def _build_scores(
    run: _ImageRun,
    fingerprint: str,
    ignored: dict[str, int],
    predictor: PredictorSettings,
    summary: PredictionSummary,
) -> ImageScores:
    """Return the content of metrics.json.

    Raises:
        RunError: rows and rejects are not as many as there are images.
    """
    unreadable = Counter({UNREADABLE: run.unreadable.num_rows})
    rejects = summary.counts_by_reason + run.previous.count_by_reason() + unreadable
    inputs = run.entries.num_rows + run.unreadable.num_rows + run.previous.num_images
    if summary.num_rows + sum(rejects.values()) != inputs:
        raise run.job.count_mismatch(
            f"{inputs} images gave {summary.num_rows} rows and {sum(rejects.values())} rejects"
        )
    labelled = int(summary.accumulator.confusion.sum())
    metrics = None
    if labelled:
        metrics = scores_directory.compute_metrics(summary, predictor, run.job.settings)
    names = storage.list_names(run.folder)
    return ImageScores(
        run=run.name,
        basis=fingerprint,
        images=run.root,
        inputs=inputs,
        scored_now=run.entries.num_rows,
        rows=summary.num_rows,
        rejects=sum(rejects.values()),
        rejects_by_reason=dict(sorted(rejects.items())),
        ignored=ignored,
        predicted={label: summary.counts_by_class[label] for label in predictor.labels},
        labelled=labelled,
        metrics=metrics,
        predictions=_result_files(run, names, PART_NAME, run.previous.predictions),
        rejects_files=_result_files(run, names, REJECTS_PREFIX, run.previous.rejects),
        **run.job.provenance(),
    )


def _read_validation_dataset(job: ScoringJob) -> Optional[Manifest]:
    """Read the dataset on which threshold and temperature are fitted; None if they are not."""
    dataset = job.config.paths.dataset
    if not needs_validation_split(job.settings):
        check_num_classes(job.settings, len(job.model_info.labels))
        return None
    if dataset is None:
        raise InputError(
            "score.calibrate and a score.threshold that is fitted need the validation split of a "
            "dataset; give it as --dataset"
        )
    data = manifest.read_manifest(dataset)
    model_directory.check_model_fits(job.model_info, data, job.model, dataset)
    check_dataset(job.settings, data)
    integrity.check_shards(dataset, data, [VALIDATION])
    return data


def _list_images(root: str, config: Config, model_info: ModelInfo) -> _ImageListing:
    listed = listing.list_images(root, config.score.catalogue, config.preprocess.suffixes)
    if not listed.files.num_rows:
        first = listed.unreadable[0]
        raise InputError(
            f"{root}: none of the {len(listed.unreadable)} images can be read, such as "
            f"{first.path}: {first.detail}"
        )
    files = catalogue.add_labels(listed, config.preprocess.label_from)
    if listed.has_labels:
        _check_labels(str(config.score.catalogue), files["label"], model_info)
    class_ids = arrow.index_in(files["label"], arrow.string_array(model_info.labels))
    # The name of a folder need not be a class; such images have no known label.
    names = arrow.string_array([*model_info.labels, ""])
    name_ids = np.where(class_ids < 0, len(model_info.labels), class_ids)
    labels = pc.take(names, arrow.number_array(name_ids, pa.int64()))
    split = arrow.number_array(np.zeros(files.num_rows), pa.int8())  # unused: there are no splits
    entries = pa.table(
        [files["path"], labels, split, files["size_bytes"], files["modified"]],
        schema=catalogue.ENTRIES,
    )
    unreadable = reject_table(root, listed.unreadable)
    return _ImageListing(root, entries, unreadable, listed.ignored, listed.notes)


def _check_labels(catalogue_url: str, labels: pa.ChunkedArray, model_info: ModelInfo) -> None:
    unknown = sorted(set(pc.unique(labels).to_pylist()) - {*model_info.labels, ""})
    if unknown:
        raise InputError(
            f"{catalogue_url}: the label {unknown[0]!r} is not a class of the model, which has "
            f"{', '.join(model_info.labels)}; correct it, or leave it empty if it is not known"
        )


def _run_name(
    scoring_fingerprint: str, image_listing: _ImageListing, previous: PreviousPredictions
) -> str:
    digest = hashlib.blake2b(digest_size=8)
    arrow.update_digest(digest, image_listing.entries)
    arrow.update_digest(digest, image_listing.unreadable)
    return scores_directory.hash_parts(
        scoring_fingerprint,
        image_listing.root,
        digest.hexdigest(),
        *previous.predictions,
        *previous.rejects,
    )


def _score_entries(
    spark: SparkSession, predictor: PredictorSettings, run: _ImageRun
) -> PredictionSummary:
    """Score the entries into files of this run; summarise these and the kept predictions."""
    config, num_entries, cores = run.job.config, run.entries.num_rows, num_cores(spark)
    blocks, num_blocks = staging.plan_blocks(
        run.root,
        run.entries,
        run.job.model_info.pixels,
        config.preprocess.read_threads,
        run.folder,
        cores,
    )
    blocks = blocks._replace(parts=run.folder)
    if run.unreadable.num_rows:
        storage.write_table(storage.join(run.folder, _UNREADABLE_FILE), run.unreadable)
    kept_files = [storage.join(run.job.output, file) for file in run.previous.predictions]
    rows = list(enumerate([""] * num_blocks + kept_files))
    num_tasks = min(len(rows), staging.num_slices(num_entries, cores))
    sources = frames.create_frame(spark, frames.build_table(rows, SOURCES), num_tasks)
    score = partial(score_block_or_file, predictor, blocks)
    summarise = partial(summary_parts.summarise_rows, score)
    part_urls = [decode_block.part_url(blocks, block) for block in range(num_blocks)]
    ends = [num_entries * number // num_blocks for number in range(num_blocks + 1)]
    written = WrittenRows(dict(zip(part_urls, map(sub, ends[1:], ends))))
    return collect_summary(
        spark,
        frames.map_tables(sources, summarise, SUMMARY_PARTS),
        plan_merges(num_tasks, num_entries + run.previous.num_images, predictor),
        ActionProgress("score", "score images", num_entries, "images", written.count),
    )


def _result_files(
    run: _ImageRun, names: Sequence[str], prefix: str, kept_files: Iterable[str]
) -> list[str]:
    """Return kept files, and the files of this run among `names` that begin with `prefix`."""
    kept = list(kept_files)
    written = (
        storage.join(PREDICTIONS, run.name, name) for name in names if name.startswith(prefix)
    )
    return [*kept, *(path for path in written if path not in kept)]
