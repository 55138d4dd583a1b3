"""Predictions as rows of a file, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.arrow import Column
from halftone.dataset import schema
from halftone.metrics import accumulator, calibration, examples, thresholds
from halftone.metrics.accumulator import MetricsAccumulator
from halftone.metrics.examples import Examples
from halftone.scoring.predict import PredictorSettings, Probabilities


class PredictionSummary(NamedTuple):
    """What some predictions come to. See `total`."""

    num_rows: int
    accumulator: MetricsAccumulator  # of the rows whose label is known
    counts_by_class: Counter[str]  # rows by prediction
    counts_by_reason: Counter[str]  # images that gave no row, by reason
    examples: Examples


def merge_summaries(parts: Iterable[PredictionSummary]) -> PredictionSummary:
    """Add up one or more; the order makes no difference."""
    own = list(parts)
    return PredictionSummary(
        sum(part.num_rows for part in own),
        accumulator.sum_accumulators(part.accumulator for part in own),
        sum((part.counts_by_class for part in own), Counter()),
        sum((part.counts_by_reason for part in own), Counter()),
        reduce(add, (part.examples for part in own)),
    )


def prediction_table(
    predictor: PredictorSettings,
    keys: Column,
    labels: Column,
    probabilities: Probabilities,
    fingerprint: Optional[str],
) -> pa.Table:
    """Return schema.PREDICTIONS.

    Args:
        labels: null where it is not known.
        probabilities: (rows, classes) float32.
        fingerprint: of the dataset that the rows are from.
    """
    count, classes = probabilities.shape
    label_ids = arrow.index_in(labels, arrow.string_array(predictor.labels))
    of_label = probabilities[np.arange(count), label_ids].astype(np.float64)
    losses = -np.log(np.maximum(of_label, calibration.MIN_PROBABILITY))
    predictions = thresholds.predict_classes(probabilities, predictor.threshold)
    ends = arrow.number_array(np.arange(count + 1) * classes, pa.int32())
    values = arrow.number_array(probabilities.ravel(), pa.float32())
    version, source = (
        arrow.string_array([text or ""]) for text in (predictor.version, fingerprint)
    )
    made = {
        schema.KEY: keys,
        schema.LABEL: labels,
        schema.PREDICTION: pc.take(
            arrow.string_array(predictor.labels), arrow.number_array(predictions, pa.int64())
        ),
        schema.PROBABILITY: pa.ListArray.from_arrays(ends, values),
        schema.LOSS: _null_where_false(label_ids >= 0, arrow.number_array(losses, pa.float64())),
        schema.MODEL_VERSION: arrow.repeat_value(version, count),
        schema.FINGERPRINT: _null_where_false(
            np.full(count, fingerprint is not None), arrow.repeat_value(source, count)
        ),
    }
    return pa.table(list(made.values()), schema=schema.PREDICTIONS)


def summarise_predictions(
    predictor: PredictorSettings,
    prediction_rows: pa.Table,
    reject_reasons: Sequence[str] = (),
    pixels: Optional[npt.NDArray[np.uint8]] = None,
) -> PredictionSummary:
    """Count predictions.

    Args:
        made: schema.PREDICTIONS, with other columns or not.
        rejects: the reason of each image that gave no row.
        pixels: (rows, H, W, C) uint8, for examples; none are chosen without.
    """
    label_ids = arrow.index_in(prediction_rows[schema.LABEL], arrow.string_array(predictor.labels))
    known = np.flatnonzero(label_ids >= 0)
    rows = arrow.take_rows(prediction_rows, known)
    keys, label_ids = rows[schema.KEY].to_pylist(), label_ids[known]
    flat = pa.chunked_array(
        [chunk.flatten() for chunk in rows[schema.PROBABILITY].chunks], pa.float32()
    )
    probabilities = arrow.to_numpy(flat).reshape(-1, len(predictor.labels))
    shown = Examples()
    if pixels is not None:
        predictions = thresholds.predict_classes(probabilities, predictor.threshold)
        shown = examples.select_examples(
            *(keys, label_ids, predictions, probabilities),
            *(pixels[known], predictor.labels, predictor.threshold),
        )
    losses = arrow.to_numpy(rows[schema.LOSS])
    counted = pc.value_counts(prediction_rows[schema.PREDICTION]).to_pylist()
    return PredictionSummary(
        prediction_rows.num_rows,
        accumulator.accumulate_rows(keys, label_ids, probabilities, losses, predictor.threshold),
        Counter({one["values"]: one["counts"] for one in counted}),
        Counter(reject_reasons),
        shown,
    )


def _null_where_false(mask: npt.NDArray[np.bool_], values: pa.Array) -> pa.Array:
    """Return `values` with null where `mask` is false."""
    said = pc.cast(arrow.number_array(mask.astype(np.int8), pa.int8()), pa.bool_())
    return pc.if_else(said, values, pa.nulls(len(values), values.type))
