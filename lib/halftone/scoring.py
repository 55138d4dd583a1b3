"""A model and a split of a dataset to predictions, metrics and a report, in Spark.

metrics.json is written last and names the predictions that it was made from; until then what
stood before stands.
"""

from __future__ import annotations

import hashlib
import time
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from halftone import manifest, metrics, model_directory, predict, report, schema, storage, tasks
from halftone.config import Config
from halftone.errors import InputError, RunError
from halftone.manifest import Manifest, ShardFile
from halftone.model_directory import HISTORY, Card
from halftone.report import Picture
from halftone.session import num_cores

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
    run = _run_name(card, data, config.score.split)
    standing = _standing(output)
    if standing.get("run") == run:
        return standing
    spark = session()
    files = _predict(
        spark, config, card, dataset, shards, model, storage.join(output, PREDICTIONS, run)
    )
    rows = spark.read.parquet(*files)
    result = {
        "run": run,
        "split": config.score.split,
        **_metrics(rows, card.labels),
        "model_version": card.version,
        "fingerprint": data.fingerprint,
        "predictions": [storage.join(PREDICTIONS, run, name) for name in map(_name_of, shards)],
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
    pictures = _mistakes(spark, rows, dataset, shards, data)
    page = report.render(card, history, data, result, pictures)
    storage.write_bytes(storage.join(output, REPORT), page.encode())
    storage.write_json(storage.join(output, METRICS), result)
    _tidy(output, run)
    return result


def _run_name(card: Card, data: Manifest, split: str) -> str:
    text = f"{schema.SCHEMA_VERSION}:{card.version}:{data.fingerprint}:{data.images}:{split}"
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


def _predict(
    spark: SparkSession,
    config: Config,
    card: Card,
    dataset: str,
    shards: list[ShardFile],
    model: str,
    target: str,
) -> list[str]:
    work = predict.Work(
        network=storage.join(model, card.network),
        labels=tuple(card.labels),
        shape=card.shape(),
        batch_size=config.score.batch_size,
        threads=int(spark.conf.get("spark.task.cpus", "1") or 1),
    )
    pairs = [
        (storage.join(dataset, shard.path), storage.join(target, _name_of(shard)))
        for shard in shards
    ]
    tasks.run(
        spark,
        partial(_predict_one, work, pairs),
        len(pairs),
        slices=4 * num_cores(spark),
        what="score",
        total=sum(shard.rows for shard in shards),
        unit="images",
    )
    return [target_file for _, target_file in pairs]


def _predict_one(work: predict.Work, pairs: list[tuple[str, str]], number: int) -> int:
    return predict.predict_shard(work, *pairs[number])


def _name_of(shard: ShardFile) -> str:
    return shard.path.rpartition("/")[2]


def _metrics(rows: DataFrame, labels: list[str]) -> dict[str, Any]:
    """Aggregate in Spark: a count and a sum for each pair of label and prediction."""
    counted = rows.groupBy(schema.LABEL, schema.PREDICTION).agg(
        F.count(F.lit(1)).alias("rows"), F.sum(schema.LOSS).alias("loss")
    )
    confusion = metrics.empty_confusion(len(labels))
    loss_sum = 0.0
    for pair in sorted(counted.collect()):
        confusion[labels.index(pair.label)][labels.index(pair.prediction)] = pair["rows"]
        loss_sum += pair.loss
    return metrics.summarise(confusion, loss_sum, labels)


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
