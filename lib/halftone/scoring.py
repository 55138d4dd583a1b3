"""A model and a split of a dataset to predictions, metrics and a report, in Spark.

metrics.json is written last and names the predictions that it was made from; until then what
stood before stands.
"""

from __future__ import annotations

import hashlib
import time
from datetime import datetime, timezone
from typing import Any, Callable

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from halftone import manifest, metrics, model_directory, report, schema, storage, thresholds
from halftone.config import Config, Score
from halftone.errors import InputError, RunError
from halftone.manifest import Manifest, ShardFile
from halftone.model_directory import HISTORY, Card
from halftone.predict import Work
from halftone.report import Picture
from halftone.scorer import Scorer, name_of

METRICS = "metrics.json"
REPORT = "report.html"
PREDICTIONS = "predictions"
_MISTAKES_SHOWN = 48


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
    data, card = manifest.read(dataset), model_directory.read_card(model)
    model_directory.check_fits(card, data, model, dataset)
    shards = data.shards(config.score.split)
    if not shards:
        raise InputError(
            f"{dataset}: the {config.score.split} split is empty; choose another score.split, or "
            f"preprocess with a larger splits.{config.score.split}_fraction"
        )
    thresholds.check(config.score, data)
    run = _run_name(card, data, config.score)
    standing = _standing(output)
    if standing.get("run") == run:
        return standing
    spark = session()
    scorer = thresholds.settled(_scorer(spark, config, card, dataset, model), config.score, data)
    counted = scorer.write(shards, storage.join(output, PREDICTIONS, run))
    result = {
        "run": run,
        "split": config.score.split,
        **metrics.summarise(
            counted,
            card.labels,
            top_ks=config.score.top_ks,
            threshold=scorer.work.threshold,
            rule=str(config.score.threshold),
            temperature=scorer.work.temperature,
        ),
        "model_version": card.version,
        "fingerprint": data.fingerprint,
        "predictions": [storage.join(PREDICTIONS, run, name) for name in map(name_of, shards)],
        "scored_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "secs": round(time.monotonic() - started, 3),
    }
    expected = sum(shard.rows for shard in shards)
    if result["rows"] != expected:
        raise RunError(
            f"{result['rows']} rows were scored, the {config.score.split} split of {dataset} has "
            f"{expected}; nothing was published. Remove {output} and run again"
        )
    history = storage.read_json(storage.join(model, HISTORY))["epochs"]
    rows = spark.read.parquet(*(storage.join(output, file) for file in result["predictions"]))
    pictures = _mistakes(spark, rows, dataset, shards, data)
    page = report.render(card, history, data, result, pictures)
    storage.write_bytes(storage.join(output, REPORT), page.encode())
    storage.write_json(storage.join(output, METRICS), result)
    _tidy(output, run)
    return result


def _run_name(card: Card, data: Manifest, settings: Score) -> str:
    decides = settings.model_dump_json(exclude={"batch_size"})
    text = f"{schema.SCHEMA_VERSION}:{card.version}:{data.fingerprint}:{data.images}:{decides}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _standing(output: str) -> dict[str, Any]:
    """Return the metrics of the last run at `output`; an empty dict where there are none."""
    held = storage.list_names(output)
    if METRICS in held:
        standing = storage.read_json(storage.join(output, METRICS))
        return standing if isinstance(standing, dict) else {}
    if held and PREDICTIONS not in held:
        raise InputError(
            f"{output}: exists and holds no scores (it holds {', '.join(held[:3])}"
            f"{', ...' if len(held) > 3 else ''}); give another --output"
        )
    return {}


def _scorer(spark: SparkSession, config: Config, card: Card, dataset: str, model: str) -> Scorer:
    work = Work(
        network=storage.join(model, card.network),
        labels=tuple(card.labels),
        shape=card.shape(),
        batch_size=config.score.batch_size,
        threads=int(spark.conf.get("spark.task.cpus", "1") or 1),
    )
    return Scorer(spark, dataset, work)


def _mistakes(
    spark: SparkSession, rows: DataFrame, dataset: str, shards: list[ShardFile], data: Manifest
) -> list[Picture]:
    """The misclassified images of which the model was most certain, with their pixels."""
    wrong = (
        rows.where(F.col(schema.LABEL) != F.col(schema.PREDICTION))
        .withColumn("certainty", F.array_max(schema.PROBABILITY))
        .orderBy(F.desc("certainty"), schema.KEY)
        .limit(_MISTAKES_SHOWN)
        .select(schema.KEY, schema.LABEL, schema.PREDICTION, "certainty")
        .collect()
    )
    keys = [row.key for row in wrong]
    images = spark.read.parquet(*[storage.join(dataset, shard.path) for shard in shards])
    pixels = {
        row.key: np.frombuffer(row.image, np.uint8).reshape(data.shape())
        for row in images.where(F.col(schema.KEY).isin(keys))
        .select(schema.KEY, schema.IMAGE)
        .collect()
    }
    return [
        Picture(row.key, row.label, row.prediction, row.certainty, pixels[row.key]) for row in wrong
    ]


def _tidy(output: str, run: str) -> None:
    """Remove the predictions of earlier runs, which metrics.json no longer names."""
    for name in storage.list_names(storage.join(output, PREDICTIONS)):
        if name != run:
            storage.remove(storage.join(output, PREDICTIONS, name))
