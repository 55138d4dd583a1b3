"""Scores one shard of a dataset. Runs in Spark's Python workers."""

from __future__ import annotations

import pyarrow as pa

from halftone import storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.stored_images import StoredImages, read_shard
from halftone.scoring import predict, predictions
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.summary_parts import NUMBER

SOURCE, TARGET = "source", "target"
# The shards to score.
SHARDS = pa.schema(
    [
        pa.field(NUMBER, pa.int32()),  # of the shard in its split
        pa.field(SOURCE, pa.string()),  # URL of the shard
        pa.field(TARGET, pa.string()),  # URL of its predictions
    ]
)


def score_shard(
    predictor: PredictorSettings,
    stored: PixelSpec,
    fingerprint: str,
    *,
    number: int,
    source: str,
    target: str,
) -> PredictionSummary:
    """Write the predictions of a shard, unless they exist completely, and summarise them.

    Args:
        stored: how the dataset stores its images.
        fingerprint: of the dataset.
        number, source, target: a row of SHARDS.
    """
    rows = read_shard(source, [schema.KEY, schema.LABEL, schema.IMAGE])
    pixels = StoredImages(rows[schema.IMAGE], stored, source).pixels()
    if storage.count_rows(target) == rows.num_rows:
        table = storage.read_table(target)
    else:
        probabilities = predict.predict_probabilities(predictor, pixels)
        table = predictions.prediction_table(
            predictor, rows[schema.KEY], rows[schema.LABEL], probabilities, fingerprint
        )
        storage.write_table(target, predictions.with_views(predictor, table))
    return predictions.summarise_predictions(predictor, table, pixels=pixels)
