"""Tables of predictions, and their summaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import add
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.arrow import Column
from halftone.dataset import schema
from halftone.metrics import accumulator, calibration, examples, samples, thresholds
from halftone.metrics.accumulator import MetricsAccumulator
from halftone.metrics.examples import Examples
from halftone.metrics.samples import Samples
from halftone.scoring.predict import PredictorSettings, Probabilities

VIEWS_METADATA = "views"  # in a file of predictions


class PredictionSummary(NamedTuple):
    """Counts of predictions. Add two with `+`, many with `merge_summaries`."""

    num_rows: int
    accumulator: MetricsAccumulator  # of the rows with a known label
    counts_by_class: Counter[str]  # rows by prediction
    counts_by_reason: Counter[str]  # images that gave no row, by reason
    examples: Examples
    samples: Samples = Samples()  # for the page of raw images

    def __add__(self, other: Any) -> PredictionSummary:
        return PredictionSummary(*map(add, self, other))


def merge_summaries(parts: Iterable[PredictionSummary]) -> PredictionSummary:
    """Add up one or more summaries, one at a time; the order makes no difference."""
    return accumulator.sum_pairwise(parts)


def prediction_table(
    predictor: PredictorSettings,
    keys: Column,
    labels: Column,
    probabilities: Probabilities,
    fingerprint: Optional[str],
) -> pa.Table:
    """Return schema.PREDICTIONS.

    Args:
        keys: one per row.
        labels: one per row; null if it is not known.
        probabilities: (rows, classes) float32.
        fingerprint: of the dataset that the rows are from; None for raw images.
    """
    num_rows = len(probabilities)
    label_ids = arrow.index_in(labels, arrow.string_array(predictor.labels))
    of_label = probabilities[np.arange(num_rows), label_ids].astype(np.float64)
    losses = -np.log(np.maximum(of_label, calibration.MIN_PROBABILITY))
    predictions = thresholds.predict_classes(probabilities, predictor.threshold)
    version, source = (
        arrow.string_array([text or ""]) for text in (predictor.version, fingerprint)
    )
    columns = {
        schema.KEY: keys,
        schema.LABEL: labels,
        schema.PREDICTION: pc.take(
            arrow.string_array(predictor.labels), arrow.number_array(predictions, pa.int64())
        ),
        schema.PROBABILITY: probability_column(probabilities),
        schema.LOSS: _null_where_false(label_ids >= 0, arrow.number_array(losses, pa.float64())),
        schema.MODEL_VERSION: arrow.repeat_value(version, num_rows),
        schema.FINGERPRINT: _null_where_false(
            np.full(num_rows, fingerprint is not None), arrow.repeat_value(source, num_rows)
        ),
    }
    return pa.table(list(columns.values()), schema=schema.PREDICTIONS)


def with_views(predictor: PredictorSettings, prediction_rows: pa.Table) -> pa.Table:
    """Return rows with the setting `score.views` in the metadata of their schema."""
    return prediction_rows.replace_schema_metadata({VIEWS_METADATA: predictor.views})


def summarise_predictions(
    predictor: PredictorSettings,
    prediction_rows: pa.Table,
    reject_reasons: Sequence[str] = (),
    pixels: Optional[npt.NDArray[np.uint8]] = None,
) -> PredictionSummary:
    """Summarise predictions.

    Args:
        prediction_rows: schema.PREDICTIONS; other columns are ignored.
        reject_reasons: the reason of each image that gave no row.
        pixels: (rows, H, W, C) uint8, for examples; without them, no examples are selected.
    """
    label_ids = arrow.index_in(prediction_rows[schema.LABEL], arrow.string_array(predictor.labels))
    labelled = np.flatnonzero(label_ids >= 0)
    rows = arrow.take_rows(prediction_rows, labelled)
    keys, label_ids = rows[schema.KEY].to_pylist(), label_ids[labelled]
    probabilities = read_probabilities(rows[schema.PROBABILITY], len(predictor.labels))
    selected = Examples()
    if pixels is not None:
        predictions = thresholds.predict_classes(probabilities, predictor.threshold)
        selected = examples.select_examples(
            *(keys, label_ids, predictions, probabilities),
            *(pixels[labelled], predictor.labels, predictor.threshold),
        )
    losses = arrow.to_numpy(rows[schema.LOSS])
    counts = pc.value_counts(prediction_rows[schema.PREDICTION]).to_pylist()
    return PredictionSummary(
        prediction_rows.num_rows,
        accumulator.accumulate_rows(keys, label_ids, probabilities, losses, predictor.threshold),
        Counter({entry["values"]: entry["counts"] for entry in counts}),
        Counter(reject_reasons),
        selected,
    )


def summarise_images(
    predictor: PredictorSettings, prediction_rows: pa.Table, reject_reasons: Sequence[str] = ()
) -> PredictionSummary:
    """Summarise predictions of raw images: as `summarise_predictions`, with samples."""
    summary = summarise_predictions(predictor, prediction_rows, reject_reasons)
    probabilities = read_probabilities(prediction_rows[schema.PROBABILITY], len(predictor.labels))
    selected = samples.select_samples(
        prediction_rows[schema.KEY].to_pylist(),
        prediction_rows[schema.LABEL].to_pylist(),
        thresholds.predict_classes(probabilities, predictor.threshold),
        probabilities,
        predictor.labels,
        predictor.threshold,
    )
    return summary._replace(samples=selected)


def probability_column(probabilities: Probabilities) -> pa.ListArray:
    """Return a column of lists, one for each row of (rows, classes) float32."""
    num_rows, classes = probabilities.shape
    offsets = arrow.number_array(np.arange(num_rows + 1) * classes, pa.int32())
    values = arrow.number_array(probabilities.ravel(), pa.float32())
    return pa.ListArray.from_arrays(offsets, values)


def read_probabilities(column: pa.ChunkedArray, num_classes: int) -> Probabilities:
    """Return the values of a column of lists, (rows, classes) float32."""
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks], pa.float32())
    return arrow.to_numpy(flat).reshape(-1, num_classes)


def _null_where_false(mask: npt.NDArray[np.bool_], values: pa.Array) -> pa.Array:
    """Return `values` with null where `mask` is false."""
    is_valid = pc.cast(arrow.number_array(mask.astype(np.int8), pa.int8()), pa.bool_())
    return pc.if_else(is_valid, values, pa.nulls(len(values), values.type))
