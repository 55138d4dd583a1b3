"""Scores a split of a dataset: writes predictions, metrics and a report, in Spark.

metrics.json is written last and names its prediction files; until then the previous scores stay
valid.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from halftone import model_directory, report, storage
from halftone.card.files import MODEL_CARD, has_card, write_card
from halftone.config import Config
from halftone.config.effects import SHOWN, drop_added_defaults, reset_settings
from halftone.dataset import integrity, manifest, previews
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import VALIDATION
from halftone.errors import InputError
from halftone.locking.lock import Lock
from halftone.locking.output import hold_output
from halftone.metrics.examples import Examples
from halftone.metrics.model import SplitScores
from halftone.report import Baseline, HeatMaps, ReportInputs, ReportReject
from halftone.report.model_card import ModelCardInputs, render_model_card
from halftone.scoring import heat_maps, scores_directory, scoring_job, spark_scorer
from halftone.scoring.fit_thresholds import check_dataset, needs_validation_split
from halftone.scoring.scores_directory import REPORT
from halftone.scoring.scores_tables import PREDICTIONS, publish_tables
from halftone.scoring.scoring_job import ScoringJob, SessionFactory
from halftone.scoring.slice_counts import compute_slices
from halftone.scoring.slice_plan import (
    SLICE_SETTINGS,
    SlicePlan,
    has_planned_slices,
    plan_slices,
)
from halftone.system import machine


class _SplitJob(NamedTuple):
    """A split to score, and everything that its scores depend on."""

    job: ScoringJob
    dataset: str  # URL
    data: Manifest
    shards: list[ShardFile]  # of the split
    baseline: Optional[Baseline]
    history: list[dict[str, Any]]  # of the model
    fingerprint: str  # names what a single prediction depends on besides its image
    run: str  # names what the scores depend on, except slices
    slices: Optional[SlicePlan]


def score_dataset(
    config: Config, dataset: str, model: str, output: str, session: SessionFactory
) -> SplitScores:
    """Score the split `score.split` and return the content of metrics.json at `output`.

    Args:
        session: returns the SparkSession; called only if there is something to score.

    Raises:
        InputError: model, dataset and output do not fit together, the output cannot be written, or
            the split is empty.
        LockHeldError: another process writes to the output.
        RunError: rows were lost; this must never happen.
    """
    split_job = _prepare(config, storage.normalise_url(dataset), model, output)
    output = split_job.job.output
    scores = _read_standing_scores(split_job)
    if scores is not None and has_card(output, MODEL_CARD, _render_card(split_job, scores)):
        return scores
    with hold_output(output, "score") as lock:
        # Another process may have scored between the look and the lock.
        scores = _read_standing_scores(split_job)
        if scores is None:
            scores = _score(split_job, session, lock)
        else:  # a killed run may have left the table one version behind
            publish_tables(output, scores)
        write_card(output, MODEL_CARD, _render_card(split_job, scores))
        return scores


def _prepare(config: Config, dataset: str, model: str, output: str) -> _SplitJob:
    data = manifest.read_manifest(dataset)
    job = scoring_job.start_scoring(config, model, output)
    settings = reset_settings(job.settings, SHOWN)
    model_directory.check_model_fits(job.model_info, data, job.model, dataset)
    shards = manifest.read_shards(dataset, data, settings.split)
    if not shards:
        raise InputError(
            f"{dataset}: the {settings.split} split is empty; choose another score.split, or "
            f"preprocess with a larger splits.{settings.split}_fraction"
        )
    check_dataset(settings, data)
    splits = [settings.split, *([VALIDATION] if needs_validation_split(settings) else [])]
    integrity.check_shards(dataset, data, splits)
    slices = plan_slices(settings, data.preprocess.catalogue, data.images)
    baseline = _read_baseline(config.paths.baseline)
    fingerprint = job.fingerprint(data)
    run = scores_directory.hash_parts(
        fingerprint,
        data.fingerprint,
        data.images,
        drop_added_defaults(settings, settings.model_dump(mode="json", exclude=SLICE_SETTINGS)),
        None if baseline is None else {**baseline.scores.to_json(), "name": baseline.name},
    )
    history = model_directory.read_history(job.model)
    return _SplitJob(job, dataset, data, shards, baseline, history, fingerprint, run, slices)


def _read_standing_scores(split_job: _SplitJob) -> Optional[SplitScores]:
    """Return the scores of this job if they are at its output, with all their files.

    None too if only the report is missing or of other settings: its predictions are used again.
    """
    output = split_job.job.output
    scores = scores_directory.read_previous_scores(output, SplitScores)
    if scores is None or scores.run != split_job.run:
        return None
    if bool(scores.heat_maps) != split_job.job.settings.heat_maps:
        return None
    if not has_planned_slices(scores.slices, split_job.slices):
        return None
    expected: list[Optional[int]] = [shard.rows for shard in split_job.shards]
    has_rows = scores_directory.count_rows(output, scores.predictions) == expected
    return scores if has_rows and REPORT in storage.list_names(output) else None


def _score(split_job: _SplitJob, session: SessionFactory, lock: Lock) -> SplitScores:
    job, data, shards = split_job.job, split_job.data, split_job.shards
    settings, fingerprint = job.settings, split_job.fingerprint
    previous = scores_directory.read_previous_scores(job.output, SplitScores)
    reusable = previous if previous is not None and previous.basis == fingerprint else None
    is_same_run = reusable is not None and reusable.run == split_job.run
    spark = session()
    scorer = job.fitted_scorer(spark, split_job.dataset, data, reusable)
    # Other slices of the same predictions need no new ones.
    is_reused = settings.only_new or is_same_run
    files = _prediction_files(shards, split_job.run, reusable if is_reused else None)
    predictions = scorer.write_predictions(
        data, shards, [storage.join(job.output, file) for file in files]
    )
    expected = sum(shard.rows for shard in shards)
    if predictions.num_rows != expected:
        raise job.count_mismatch(
            f"{predictions.num_rows} rows were scored, the {settings.split} split of "
            f"{split_job.dataset} has {expected}"
        )
    metrics = scores_directory.compute_metrics(predictions, scorer.predictor, settings)
    scores = SplitScores(
        run=split_job.run,
        basis=fingerprint,
        views=settings.views,
        heat_maps=settings.heat_maps,
        images_description=data.images_description or None,
        split=settings.split,
        **dict(metrics),
        fingerprint=data.fingerprint,
        predictions=files,
        shards=[shard.digest for shard in shards],
        **job.provenance(),
    )
    if split_job.slices is not None:
        urls = [storage.join(job.output, file) for file in files]
        slices = compute_slices(
            spark, split_job.slices, urls, scores.labels, scores.rows, scores.num_correct
        )
        scores = scores.model_copy(update={"slices": slices})
    maps = heat_maps.explain_examples(job, scorer, predictions.examples)
    page = _render_report(split_job, scores, predictions.examples, maps)
    lock.check()
    storage.write_bytes(storage.join(job.output, REPORT), page.encode())
    scores_directory.publish_scores(job.output, scores, files)
    return scores


def _read_baseline(url: Optional[str]) -> Optional[Baseline]:
    """Read the scores at `url`; its name is the URL."""
    if url is None:
        return None
    url = storage.normalise_url(url)
    try:
        return Baseline(url, scores_directory.read_split_scores(url))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise InputError(
            f"{url}: no scores of a split here; check paths.baseline or --baseline, which is the "
            "--output of an earlier run of jobs/score.py"
        ) from None


def _prediction_files(
    shards: list[ShardFile], run: str, reusable: Optional[SplitScores]
) -> list[str]:
    """Return the path of each shard's predictions: existing files of `reusable`, or new ones."""
    existing: dict[str, str] = {}
    if reusable is not None:
        existing = dict(zip(reusable.shards or [], reusable.predictions))
    return [
        existing.get(
            shard.digest, storage.join(PREDICTIONS, run, spark_scorer.shard_file_name(shard))
        )
        for shard in shards
    ]


def _render_report(
    split_job: _SplitJob,
    scores: SplitScores,
    examples: Examples,
    maps: Optional[HeatMaps],
) -> str:
    dataset, data = split_job.dataset, split_job.data
    rejects = previews.read_reject_previews(
        [storage.join(dataset, file) for file in data.rejects_files],
        data.rejects_by_reason,
        data.pixels,
    )
    return report.render_report(
        ReportInputs(
            model_info=split_job.job.model_info,
            history=split_job.history,
            manifest=data,
            scores=scores,
            examples=examples,
            heat_maps=maps,
            rejects=[ReportReject(*reject) for reject in rejects],
            contact_sheet=_read_contact_sheet(dataset, data),
            baseline=split_job.baseline,
            machine=machine.describe_machine(),
        )
    )


def _render_card(split_job: _SplitJob, scores: SplitScores) -> str:
    model_info = split_job.job.model_info
    card = split_job.job.config.card.completed_by(model_info.config.card)
    return render_model_card(
        ModelCardInputs(model_info, split_job.history, split_job.data, card, scores)
    )


def _read_contact_sheet(dataset: str, data: Manifest) -> Optional[bytes]:
    """Read the PNG; None if someone has removed it, which is not an error."""
    try:
        return storage.read_bytes(storage.join(dataset, data.contact_sheet))
    except OSError:
        return None
