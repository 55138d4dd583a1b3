"""A model and a split of a dataset to predictions, metrics and a report, in Spark.

metrics.json is written last and names the predictions that it was made from; until then what
stood before stands.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from pyspark.sql import SparkSession

from halftone import model_directory, report, storage
from halftone.config import Config
from halftone.dataset import manifest, previews
from halftone.dataset.manifest import Manifest, ShardFile
from halftone.errors import InputError, RunError
from halftone.metrics.examples import Examples
from halftone.model_directory import HISTORY, ModelInfo
from halftone.scoring import scores_directory, spark_scorer
from halftone.scoring.fit_thresholds import check_dataset, fit_scorer, needs_validation_split
from halftone.scoring.scores_directory import PREDICTIONS, REPORT
from halftone.system import machine


def score_dataset(
    config: Config, dataset: str, model: str, output: str, session: Callable[[], SparkSession]
) -> dict[str, Any]:
    """Score the split `score.split` and return what metrics.json at `output` holds.

    Args:
        session: gives the SparkSession; called only where there is work for it.

    Raises:
        InputError: model, dataset and output do not go together, or the split is empty.
        RunError: a row got lost on the way, which must never be.
    """
    dataset, model, output = map(storage.normalise_url, (dataset, model, output))
    started = time.monotonic()
    settings = config.score
    data, card = manifest.read_manifest(dataset), model_directory.read_model_info(model)
    model_directory.check_model_fits(card, data, model, dataset)
    shards = data.shards(settings.split)
    if not shards:
        raise InputError(
            f"{dataset}: the {settings.split} split is empty; choose another score.split, or "
            f"preprocess with a larger splits.{settings.split}_fraction"
        )
    check_dataset(settings, data)
    earlier = _read_baseline(config.paths.baseline)
    needed = needs_validation_split(settings)
    basis = scores_directory.scoring_fingerprint(
        card, settings, data.fingerprint if needed else None
    )
    run = scores_directory.hash_parts(
        basis, data.fingerprint, data.images, settings.model_dump(mode="json"), earlier
    )
    standing = scores_directory.read_previous_metrics(output)
    if standing.get("run") == run:
        return standing
    spark = session()
    own = spark_scorer.build_scorer(spark, dataset, card, model, settings.batch_size)
    own = fit_scorer(own, settings, data)
    files = _prediction_files(
        shards, run, standing if standing.get("basis") == basis else {}, config
    )
    scored = own.write_predictions(
        shards, [storage.join(output, file) for file in files], data.fingerprint
    )
    expected = sum(shard.rows for shard in shards)
    if scored.num_rows != expected:
        raise RunError(
            f"{scored.num_rows} rows were scored, the {settings.split} split of {dataset} has "
            f"{expected}; nothing was published. Remove {output} and run again"
        )
    result = {
        "run": run,
        "basis": basis,
        "split": settings.split,
        **scores_directory.compute_metrics(scored, own.predictor, settings),
        "model_version": card.version,
        "fingerprint": data.fingerprint,
        "predictions": files,
        "shards": [shard.digest for shard in shards],
        "scored_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "secs": round(time.monotonic() - started, 3),
    }
    page = _render_report(dataset, model, card, data, result, scored.examples, earlier)
    storage.write_bytes(storage.join(output, REPORT), page.encode())
    scores_directory.publish_scores(output, result, files)
    return result


def _read_baseline(url: Optional[str]) -> Optional[dict[str, Any]]:
    """The metrics of the scores at `url`, by the name of that place."""
    if url is None:
        return None
    url = storage.normalise_url(url)
    try:
        found = storage.read_json(storage.join(url, scores_directory.METRICS))
    except (FileNotFoundError, ValueError):
        found = None
    if not isinstance(found, dict) or "confusion" not in found:
        raise InputError(
            f"{url}: no scores of a split here; check paths.baseline or --baseline, which is the "
            "--output of an earlier run of jobs/score.py"
        )
    return {**found, "name": url}


def _prediction_files(
    shards: list[ShardFile], run: str, previous_metrics: dict[str, Any], config: Config
) -> list[str]:
    """Where each shard's predictions go, or are."""
    own = [storage.join(PREDICTIONS, run, spark_scorer.shard_file_name(shard)) for shard in shards]
    if not config.score.only_new:
        return own
    there = dict(zip(previous_metrics.get("shards", []), previous_metrics.get("predictions", [])))
    return [there.get(shard.digest, file) for shard, file in zip(shards, own)]


def _render_report(
    dataset: str,
    model: str,
    model_info: ModelInfo,
    data: Manifest,
    metrics: dict[str, Any],
    examples: Examples,
    baseline: Optional[dict[str, Any]],
) -> str:
    history = storage.read_json(storage.join(model, HISTORY))["epochs"]
    spec = data.pixels
    rejects = previews.read_reject_previews(
        [storage.join(dataset, file) for file in data.rejects_files], spec
    )
    return report.render_report(
        *(model_info, history, data, metrics, examples.mistakes),
        least_certain=examples.least_certain,
        rejects=rejects,
        contact_sheet=_read_contact_sheet(dataset, data),
        baseline=baseline,
        machine=machine.describe_machine(),
    )


def _read_contact_sheet(dataset: str, data: Manifest) -> Optional[bytes]:
    """The PNG; None where someone has removed it, which is no reason to fail."""
    try:
        return storage.read_bytes(storage.join(dataset, data.contact_sheet))
    except OSError:
        return None
