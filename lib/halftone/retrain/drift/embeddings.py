"""Drift of the champion's embeddings: what its network sees in new images, compared with before.

It finds what leaves grey levels and sizes as they are: another subject, another background, another
style of drawing. The champion was not trained on any of the compared rows, because a network's
embeddings of its own training rows differ from those of other rows of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, model_directory, storage
from halftone.config import DriftSettings, PixelSpec, ScoreSettings
from halftone.dataset import manifest, schema
from halftone.dataset.splits import TRAIN
from halftone.dataset.stored_images import StoredImages
from halftone.retrain.drift import row_samples, two_sample
from halftone.retrain.drift.findings import OK, STOP, WARN
from halftone.retrain.drift.row_samples import RowSample
from halftone.scoring import spark_scorer
from halftone.scoring.embeddings import embed_images
from halftone.scoring.predict import PredictorSettings
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_frame, map_rows
from halftone.spark.session import num_cores

# Rows of shards to embed.
SAMPLES = pa.schema(
    [
        pa.field("url", pa.string()),
        pa.field("rows", pa.list_(pa.int64())),
        pa.field("is_new", pa.bool_()),
    ]
)
EMBEDDINGS = pa.schema(
    [
        pa.field("url", pa.string()),
        pa.field("is_new", pa.bool_()),
        pa.field("values", pa.list_(pa.float64())),  # of all rows of a sample, one after another
    ]
)


class EmbeddingDrift(NamedTuple):
    """How well a classifier tells new rows from earlier ones by the champion's embeddings."""

    champion: str  # version of its weights
    rows: int  # that were classified
    accuracy: float
    by_chance: float  # the accuracy stays below this with the given confidence without a drift
    level: str  # OK, WARN or STOP


def find_embedding_drift(
    previous_dataset: str,
    new_rows: Sequence[RowSample],
    champion: str,
    settings: DriftSettings,
    session: Callable[[], SparkSession],
) -> Optional[EmbeddingDrift]:
    """Compare new rows with validation and test rows of the earlier dataset.

    Args:
        previous_dataset: URL of the dataset of the last training.
        new_rows: a sample of the rows that it does not have.
        champion: URL of the model directory.
        settings: section `retrain.drift`.
        session: returns the SparkSession; called only if there are rows to compare.

    Returns:
        None if there are too few rows, or the champion takes other pixels.
    """
    data = manifest.read_manifest(previous_dataset)
    model_info = model_directory.read_model_info(champion)
    if model_info.pixels != data.pixels.without_lossless_encoding():
        return None
    before = [
        RowSample(storage.join(previous_dataset, file.path), list(range(file.rows)))
        for file in manifest.read_shards(previous_dataset, data)
        if file.split != TRAIN
    ]
    samples = [(row_samples.limit_samples(before), False), (list(new_rows), True)]
    if min(sum(len(sample.rows) for sample in group) for group, _ in samples) < two_sample.MIN_ROWS:
        return None
    spark = session()
    predictor = spark_scorer.build_scorer(
        spark, previous_dataset, model_info, champion, ScoreSettings()
    ).predictor
    rows = [(*sample, is_new) for group, is_new in samples for sample in group]
    frame = create_frame(spark, build_table(rows, SAMPLES), num_cores(spark))
    embedded = collect_rows(
        map_rows(frame, partial(embed_sample, predictor, data.pixels), EMBEDDINGS),
        ActionProgress("drift", "embed a sample of new and of earlier rows"),
    )
    num_rows = {(url, is_new): len(numbers) for url, numbers, is_new in rows}
    parts: dict[bool, list[Any]] = {False: [], True: []}
    for row in sorted(embedded, key=lambda row: row.url):
        parts[row.is_new].append(np.reshape(row.values, (num_rows[row.url, row.is_new], -1)))
    before_values, new_values = (_in_random_order(parts[is_new]) for is_new in (False, True))
    result = two_sample.compare_samples(before_values, new_values, settings.confidence)
    if result is None:
        return None
    level = _find_level(result.accuracy, result.by_chance, settings)
    return EmbeddingDrift(model_info.version, *result, level)


def describe_embedding_drift(drift: EmbeddingDrift) -> str:
    """Describe a drift, such as: embeddings (a classifier is right for 83 % of 400 images)."""
    return (
        f"embeddings (a classifier of new and earlier images is right for {drift.accuracy:.0%} of "
        f"{drift.rows:,})"
    )


def embed_sample(
    predictor: PredictorSettings, pixels: PixelSpec, *, url: str, rows: Sequence[int], is_new: bool
) -> Iterator[tuple[str, bool, list[float]]]:
    """Yield the row of EMBEDDINGS for a row of SAMPLES.

    Args:
        predictor: the champion.
        pixels: how the dataset stores its images.
    """
    table = storage.read_table(url, [schema.IMAGE])
    images = StoredImages(arrow.take_rows(table, np.asarray(rows))[schema.IMAGE], pixels, url, rows)
    values = embed_images(predictor, images.pixels())
    yield url, is_new, values.astype(np.float64).ravel().tolist()


def _in_random_order(parts: Sequence[two_sample.Sample]) -> two_sample.Sample:
    """Mix the rows of shards, as those of a shard may have been added together."""
    sample = np.vstack(parts)
    mixed: two_sample.Sample = sample[np.random.default_rng(0).permutation(len(sample))]
    return mixed


def _find_level(accuracy: float, by_chance: float, settings: DriftSettings) -> str:
    if accuracy <= by_chance or accuracy < settings.embedding_warn:
        return OK
    return STOP if accuracy >= settings.embedding_stop else WARN
