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
from halftone.images import PixelSpec
from halftone.metrics.examples import Examples
from halftone.model_directory import HISTORY, Card
from halftone.scoring import scores_directory, spark_scorer
from halftone.scoring.fit_thresholds import check, need_validation, settled
from halftone.scoring.scores_directory import PREDICTIONS, REPORT
from halftone.system import machine


def score(
    config: Config, dataset: str, model: str, output: str, session: Callable[[], SparkSession]
) -> dict[str, Any]:
    """Score the split `score.split` and return what metrics.json at `output` holds.

    Args:
        session: gives the SparkSession; called only where there is work for it.

    Raises:
        InputError: model, dataset and output do not go together, or the split is empty.
        RunError: a row got lost on the way, which must never be.
    """
    dataset, model, output = map(storage.normalise, (dataset, model, output))
    started = time.monotonic()
    settings = config.score
    data, card = manifest.read(dataset), model_directory.read_card(model)
    model_directory.check_fits(card, data, model, dataset)
    shards = data.shards(settings.split)
    if not shards:
        raise InputError(
            f"{dataset}: the {settings.split} split is empty; choose another score.split, or "
            f"preprocess with a larger splits.{settings.split}_fraction"
        )
    check(settings, data)
    earlier = _earlier(config.paths.baseline)
    needed = need_validation(settings)
    basis = scores_directory.basis(card, settings, data.fingerprint if needed else None)
    run = scores_directory.named(
        basis, data.fingerprint, data.images, settings.model_dump(mode="json"), earlier
    )
    standing = scores_directory.standing(output)
    if standing.get("run") == run:
        return standing
    spark = session()
    own = spark_scorer.of(spark, dataset, card, model, settings.batch_size)
    own = settled(own, settings, data)
    files = _files(shards, run, standing if standing.get("basis") == basis else {}, config)
    scored = own.write(shards, [storage.join(output, file) for file in files], data.fingerprint)
    expected = sum(shard.rows for shard in shards)
    if scored.rows != expected:
        raise RunError(
            f"{scored.rows} rows were scored, the {settings.split} split of {dataset} has "
            f"{expected}; nothing was published. Remove {output} and run again"
        )
    result = {
        "run": run,
        "basis": basis,
        "split": settings.split,
        **scores_directory.figures(scored, own.work, settings),
        "model_version": card.version,
        "fingerprint": data.fingerprint,
        "predictions": files,
        "shards": [shard.digest for shard in shards],
        "scored_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "secs": round(time.monotonic() - started, 3),
    }
    page = _page(dataset, model, card, data, result, scored.examples, earlier)
    storage.write_bytes(storage.join(output, REPORT), page.encode())
    scores_directory.publish(output, result, files)
    return result


def _earlier(url: Optional[str]) -> Optional[dict[str, Any]]:
    """The metrics of the scores at `url`, by the name of that place."""
    if url is None:
        return None
    url = storage.normalise(url)
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


def _files(
    shards: list[ShardFile], run: str, standing: dict[str, Any], config: Config
) -> list[str]:
    """Where each shard's predictions go, or are."""
    own = [storage.join(PREDICTIONS, run, spark_scorer.name_of(shard)) for shard in shards]
    if not config.score.only_new:
        return own
    there = dict(zip(standing.get("shards", []), standing.get("predictions", [])))
    return [there.get(shard.digest, file) for shard, file in zip(shards, own)]


def _page(
    dataset: str,
    model: str,
    card: Card,
    data: Manifest,
    result: dict[str, Any],
    examples: Examples,
    earlier: Optional[dict[str, Any]],
) -> str:
    history = storage.read_json(storage.join(model, HISTORY))["epochs"]
    spec = PixelSpec(**data.pixels.model_dump())
    rejects = previews.rejected([storage.join(dataset, file) for file in data.rejects_files], spec)
    return report.render(
        *(card, history, data, result, examples.mistakes),
        least_certain=examples.doubtful,
        rejects=rejects,
        contact_sheet=_contact_sheet(dataset, data),
        baseline=earlier,
        machine=machine.described(),
    )


def _contact_sheet(dataset: str, data: Manifest) -> Optional[bytes]:
    """The PNG; None where someone has removed it, which is no reason to fail."""
    try:
        return storage.read_bytes(storage.join(dataset, data.contact_sheet))
    except OSError:
        return None
