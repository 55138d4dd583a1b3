"""Scores raw images: decodes them as for training, and writes predictions and a page, in one pass.

Every image ends as a prediction or as a reject. With `score.only_new`, predictions of an earlier
run with the same model are kept. What a step knows of single images is in files below the scores
directory, which the next step reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Optional

from pyspark.sql import DataFrame, SparkSession

from halftone import model_directory, storage
from halftone.config import Config
from halftone.dataset import integrity, manifest
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import VALIDATION
from halftone.errors import InputError
from halftone.listing import ArchiveSettings, ListingKeys, ListingPlan, plan_listing
from halftone.locking.lock import Lock
from halftone.locking.output import check_output, hold_output
from halftone.metrics.model import ImageScores
from halftone.preprocess import changes
from halftone.preprocess.decode_block import PART_NAME, DecodeJob
from halftone.preprocess.delta import Delta
from halftone.progress import log_notes
from halftone.sample.sample_info import read_sample_description
from halftone.scoring import (
    image_listing,
    image_page,
    predictions_csv,
    previous_predictions,
    scores_directory,
    scoring_job,
)
from halftone.scoring.fit_thresholds import (
    check_dataset,
    check_num_classes,
    needs_validation_split,
)
from halftone.scoring.image_listing import ImageListing
from halftone.scoring.old_rejects import move_old_rejects
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.previous_predictions import KeptFile
from halftone.scoring.score_blocks import score_blocks
from halftone.scoring.scores_directory import REPORT, STAGING
from halftone.scoring.scores_tables import PREDICTIONS, REJECTS, publish_tables
from halftone.scoring.scoring_job import ScoringJob, SessionFactory
from halftone.scoring.slice_counts import compute_slices
from halftone.scoring.slice_plan import SlicePlan, has_planned_slices, plan_slices
from halftone.scoring.spark_scorer import SparkScorer

_KEYS = ListingKeys("paths.new_images or --images", "score.catalogue", requires_label=False)


class _ImageRun(NamedTuple):
    """What there is to do, compared with the scores at the output."""

    job: ScoringJob
    name: str  # of the run
    images: ImageListing
    delta: Delta
    kept: list[KeptFile]  # of earlier runs
    standing: Optional[ImageScores] = None  # if there is nothing to do
    is_damaged: bool = False  # a run of this name was published, and some of its files are gone

    def folder(self, kind: str) -> str:
        """Return the URL of this run's folder of PREDICTIONS or REJECTS."""
        return storage.join(self.job.output, kind, self.name)

    @property
    def num_entries(self) -> int:
        """Images that are scored, or rejected without being read."""
        return self.delta.num_read + self.delta.num_unusable

    @property
    def num_inputs(self) -> int:
        return self.num_entries + sum(file.num_rows for file in self.kept)


def score_images(
    config: Config, images: str, model: str, output: str, session: SessionFactory
) -> ImageScores:
    """Score the images below `images`; return the content of metrics.json at `output`.

    Args:
        session: returns the SparkSession.

    Returns:
        The content, in which `scored_now` is that of this call: 0 if all images were scored before.

    Raises:
        InputError: there are no images, the output cannot be written, or the settings need a
            dataset that is missing.
        LockHeldError: another process writes to the output.
        RunError: images were lost; this must never happen.
    """
    job = scoring_job.start_scoring(config, model, output)
    data = _read_validation_dataset(job)
    scores_directory.read_previous_scores(job.output, ImageScores)
    check_output(job.output)  # before the images are listed, which may take minutes
    session = cache(session)
    plan = plan_listing(
        *(storage.normalise_url(images), config.score.catalogue, config.preprocess.suffixes, _KEYS),
        label_column=config.preprocess.label_column,
        boxes=config.preprocess.catalogue_boxes,
        archives=ArchiveSettings.from_config(config.preprocess),
    )
    log_notes(plan.notes)
    slices = plan_slices(config.score, config.score.catalogue, plan.root)
    with hold_output(job.output, "score") as lock:
        staging = storage.join(job.output, STAGING)
        run = _plan_run(job, session, plan, staging, job.fingerprint(data))
        if run.standing is None:
            scores = _score(run, slices, session(), data, lock)
        else:
            # A killed run may have left the tables one version behind.
            publish_tables(job.output, run.standing)
            scores = _with_slices(run.standing, slices, session, job)
            if scores is not run.standing or not _has_page(job, scores):
                scores = _renew_page(run, scores, session(), data, lock)
            max_csv_rows = job.settings.max_csv_rows
            if not predictions_csv.is_standing(job.output, scores, max_csv_rows):
                predictions_csv.write_csv(session(), job.output, scores, max_csv_rows)
            scores = scores.model_copy(update={"scored_now": 0})
        storage.remove(staging)
        return scores


def _plan_run(
    job: ScoringJob, session: SessionFactory, plan: ListingPlan, staging: str, fingerprint: str
) -> _ImageRun:
    """List the images, and compare them with the scores at the output."""
    images = image_listing.list_images(
        *(session, plan, job.config, job.model_info.labels),
        storage.join(staging, "listing"),
    )
    log_notes(images.notes[len(plan.notes) :])
    last = scores_directory.read_previous_scores(job.output, ImageScores)
    last = move_old_rejects(job.output, last) if last else None
    reusable = last if job.settings.only_new and last and last.basis == fingerprint else None
    files = previous_predictions.list_files(job.output, reusable)
    if files:
        spark = session()
        delta = changes.find_changes(
            spark,
            images.read_entries(spark),
            previous_predictions.read_known(spark, job.output, files),
            storage.join(staging, "changes"),
            images.num_images,
            sum(file.num_rows for file in files),
            can_move=False,  # the loss of an image depends on its label
        )
    else:
        delta = Delta.of_new_dataset(
            images.read_entries,
            num_usable=images.num_usable,
            num_unusable=images.num_unusable,
            digest=images.digest,
        )
    paths = [file.path for file in files]
    name = scores_directory.hash_parts(fingerprint, images.root, images.digest, *paths)
    is_same_run = last is not None and last.run == name
    is_unchanged = reusable is not None and delta.is_empty and delta.all_unusable_known
    standing = last if is_same_run or is_unchanged else None
    if standing is not None and not _has_all_files(job.output, standing):
        standing = None
    kept = previous_predictions.plan_kept_files(files, delta.notes, name)
    is_damaged = is_same_run and standing is None
    return _ImageRun(job, name, images, delta, kept, standing, is_damaged)


def _has_all_files(output: str, scores: ImageScores) -> bool:
    """Return whether all files that the scores name are there with all their rows."""
    return scores_directory.holds_rows(
        output, scores.predictions, scores.rows
    ) and scores_directory.holds_rows(output, scores.rejects_files, scores.rejects)


def _has_page(job: ScoringJob, scores: ImageScores) -> bool:
    """Return whether there is a page, with heat maps if the settings ask for them."""
    is_same = bool(scores.heat_maps) == job.settings.heat_maps
    return is_same and REPORT in storage.list_names(job.output)


def _score(
    run: _ImageRun,
    slices: Optional[SlicePlan],
    spark: SparkSession,
    data: Optional[Manifest],
    lock: Lock,
) -> ImageScores:
    """Score, and publish the scores with their page."""
    job = run.job
    if run.is_damaged:
        # What is left may belong to other blocks.
        storage.remove(run.folder(PREDICTIONS))
        storage.remove(run.folder(REJECTS))
    scorer = job.fitted_scorer(spark, _dataset_url(job, data), data)
    work = run.delta.read_work(spark)
    summary = _score_blocks(run, scorer, work, run.num_entries, run.kept)
    scores = _build_scores(run, job.fingerprint(data), scorer, summary)
    scores = _with_slices(scores, slices, lambda: spark, job)
    page = image_page.render_page(job, scorer, scores, summary.samples)
    lock.check()
    predictions_csv.write_csv(spark, job.output, scores, job.settings.max_csv_rows)
    storage.write_bytes(storage.join(job.output, REPORT), page.encode())
    files = [*scores.predictions, *scores.rejects_files]
    scores_directory.publish_scores(job.output, scores, files)
    return scores


def _renew_page(
    run: _ImageRun, scores: ImageScores, spark: SparkSession, data: Optional[Manifest], lock: Lock
) -> ImageScores:
    """Write the page of scores whose files are complete; return them with its setting."""
    job = run.job
    scorer = job.fitted_scorer(spark, _dataset_url(job, data), data, scores.metrics)
    files = previous_predictions.list_files(job.output, scores)
    kept = previous_predictions.plan_kept_files(files, {}, run.name)
    summary = _score_blocks(run, scorer, run.images.read_entries(spark), 0, kept)
    renewed = scores.model_copy(update={"heat_maps": job.settings.heat_maps})
    page = image_page.render_page(job, scorer, renewed, summary.samples)
    lock.check()
    storage.write_bytes(storage.join(job.output, REPORT), page.encode())
    if renewed != run.standing:
        names = [*scores.predictions, *scores.rejects_files]
        scores_directory.publish_scores(job.output, renewed, names)
    return renewed


def _score_blocks(
    run: _ImageRun,
    scorer: SparkScorer,
    entries: DataFrame,
    num_entries: int,
    kept: Sequence[KeptFile],
) -> PredictionSummary:
    decoding = DecodeJob(
        root=run.images.root,
        parts=run.folder(PREDICTIONS),
        pixels=run.job.model_info.pixels,
        read_threads=run.job.config.preprocess.read_threads,
    )
    rejects_folder, output = run.folder(REJECTS), run.job.output
    return score_blocks(scorer, decoding, rejects_folder, entries, num_entries, output, kept)


def _with_slices(
    scores: ImageScores, plan: Optional[SlicePlan], session: SessionFactory, job: ScoringJob
) -> ImageScores:
    """Return the scores with the slices of a plan; the same object if it has them already."""
    metrics = scores.metrics
    if metrics is None and plan is not None:
        log_notes(["score.slices: no image has a label, so there are no slices"])
    if metrics is None or has_planned_slices(scores.slices, plan):
        return scores
    if plan is None:
        return ImageScores.model_validate(
            {name: value for name, value in scores.to_json().items() if name != "slices"}
        )
    urls = [storage.join(job.output, file) for file in scores.predictions]
    slices = compute_slices(
        session(), plan, urls, metrics.labels, metrics.rows, metrics.num_correct
    )
    return scores.model_copy(update={"slices": slices})


def _build_scores(
    run: _ImageRun, fingerprint: str, scorer: SparkScorer, summary: PredictionSummary
) -> ImageScores:
    """Return the content of metrics.json.

    Raises:
        RunError: rows and rejects are not as many as there are images.
    """
    rejects, labels = summary.counts_by_reason, scorer.predictor.labels
    num_rejects = sum(rejects.values())
    if summary.num_rows + num_rejects != run.num_inputs:
        raise run.job.count_mismatch(
            f"{run.num_inputs} images gave {summary.num_rows} rows and {num_rejects} rejects"
        )
    labelled = int(summary.accumulator.confusion.sum())
    metrics = None
    if labelled:
        metrics = scores_directory.compute_metrics(summary, scorer.predictor, run.job.settings)
    return ImageScores(
        run=run.name,
        basis=fingerprint,
        views=run.job.settings.views,
        heat_maps=run.job.settings.heat_maps,
        images_description=read_sample_description(run.images.root) or None,
        images=run.images.root,
        inputs=run.num_inputs,
        scored_now=run.delta.num_read,
        rows=summary.num_rows,
        rejects=num_rejects,
        rejects_by_reason=dict(sorted(rejects.items())),
        ignored=run.images.ignored,
        predicted={label: summary.counts_by_class[label] for label in labels},
        labelled=labelled,
        metrics=metrics,
        predictions=_result_files(run, PREDICTIONS),
        rejects_files=_result_files(run, REJECTS),
        **run.job.provenance(),
    )


def _read_validation_dataset(job: ScoringJob) -> Optional[Manifest]:
    """Read the dataset on which threshold and temperature are fitted; None if they are not."""
    if not needs_validation_split(job.settings):
        check_num_classes(job.settings, len(job.model_info.labels))
        return None
    if job.config.paths.dataset is None:
        raise InputError(
            "score.calibrate and a score.threshold that is fitted need the validation split of a "
            "dataset; give it as --dataset"
        )
    dataset = storage.normalise_url(job.config.paths.dataset)
    data = manifest.read_manifest(dataset)
    model_directory.check_model_fits(job.model_info, data, job.model, dataset)
    check_dataset(job.settings, data)
    integrity.check_shards(dataset, data, [VALIDATION])
    return data


def _dataset_url(job: ScoringJob, data: Optional[Manifest]) -> str:
    """Return the URL of the dataset `data`, or nothing if none is read."""
    return storage.normalise_url(str(job.config.paths.dataset)) if data else ""


def _result_files(run: _ImageRun, kind: str) -> list[str]:
    """Return kept files, and those of this run, of PREDICTIONS or REJECTS."""
    kept = [file.path for file in run.kept if file.source.is_rejects == (kind == REJECTS)]
    names = storage.list_names(run.folder(kind))
    written = (storage.join(kind, run.name, name) for name in names if name.startswith(PART_NAME))
    return [*kept, *(path for path in written if path not in kept)]
