"""Scores a split of a dataset: writes predictions, metrics and a report, in Spark.

metrics.json is written last and names its prediction files; until then the previous scores stay
valid.
"""

from __future__ import annotations

from typing import Optional

from halftone import model_directory, report, storage
from halftone.config import Config
from halftone.dataset import manifest, previews
from halftone.dataset.manifest import Manifest, ShardFile
from halftone.errors import InputError
from halftone.metrics.examples import Examples
from halftone.metrics.model import SplitScores
from halftone.model_directory import HISTORY
from halftone.report import Baseline, ReportInputs, ReportReject
from halftone.scoring import scores_directory, scoring_job, spark_scorer
from halftone.scoring.fit_thresholds import check_dataset
from halftone.scoring.scores_directory import PREDICTIONS, REPORT
from halftone.scoring.scoring_job import ScoringJob, SessionFactory
from halftone.system import machine


def score_dataset(
    config: Config, dataset: str, model: str, output: str, session: SessionFactory
) -> SplitScores:
    """Score the split `score.split` and return the content of metrics.json at `output`.

    Args:
        session: returns the SparkSession; called only if there is something to score.

    Raises:
        InputError: model, dataset and output do not fit together, or the split is empty.
        RunError: rows were lost; this must never happen.
    """
    dataset = storage.normalise_url(dataset)
    data = manifest.read_manifest(dataset)
    job = scoring_job.start_scoring(config, model, output)
    settings = job.settings
    model_directory.check_model_fits(job.model_info, data, job.model, dataset)
    shards = data.shards(settings.split)
    if not shards:
        raise InputError(
            f"{dataset}: the {settings.split} split is empty; choose another score.split, or "
            f"preprocess with a larger splits.{settings.split}_fraction"
        )
    check_dataset(settings, data)
    baseline = _read_baseline(config.paths.baseline)
    fingerprint = job.fingerprint(data)
    run = scores_directory.hash_parts(
        fingerprint,
        data.fingerprint,
        data.images,
        settings.model_dump(mode="json"),
        None if baseline is None else {**baseline.scores.to_json(), "name": baseline.name},
    )
    previous = scores_directory.read_previous_scores(job.output, SplitScores)
    if previous is not None and previous.run == run:
        return previous
    scorer = job.fitted_scorer(session(), dataset, data)
    reusable = previous if previous is not None and previous.basis == fingerprint else None
    files = _prediction_files(shards, run, reusable if settings.only_new else None)
    predictions = scorer.write_predictions(
        shards, [storage.join(job.output, file) for file in files], data.fingerprint
    )
    expected = sum(shard.rows for shard in shards)
    if predictions.num_rows != expected:
        raise job.count_mismatch(
            f"{predictions.num_rows} rows were scored, the {settings.split} split of {dataset} has "
            f"{expected}"
        )
    metrics = scores_directory.compute_metrics(predictions, scorer.predictor, settings)
    scores = SplitScores(
        run=run,
        basis=fingerprint,
        split=settings.split,
        **dict(metrics),
        fingerprint=data.fingerprint,
        predictions=files,
        shards=[shard.digest for shard in shards],
        **job.provenance(),
    )
    page = _render_report(job, dataset, data, scores, predictions.examples, baseline)
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
    except (FileNotFoundError, ValueError):
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
    job: ScoringJob,
    dataset: str,
    data: Manifest,
    scores: SplitScores,
    examples: Examples,
    baseline: Optional[Baseline],
) -> str:
    rejects = previews.read_reject_previews(
        [storage.join(dataset, file) for file in data.rejects_files], data.pixels
    )
    return report.render_report(
        ReportInputs(
            model_info=job.model_info,
            history=storage.read_json(storage.join(job.model, HISTORY))["epochs"],
            manifest=data,
            scores=scores,
            examples=examples,
            rejects=[ReportReject(*reject) for reject in rejects],
            contact_sheet=_read_contact_sheet(dataset, data),
            baseline=baseline,
            machine=machine.describe_machine(),
        )
    )


def _read_contact_sheet(dataset: str, data: Manifest) -> Optional[bytes]:
    """Read the PNG; None if someone has removed it, which is not an error."""
    try:
        return storage.read_bytes(storage.join(dataset, data.contact_sheet))
    except OSError:
        return None
