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
from halftone.metrics.accumulator import Tally
from halftone.metrics.examples import Examples
from halftone.scoring.predict import Probabilities, Work


class Scored(NamedTuple):
    """What some predictions come to. See `total`."""

    rows: int
    tally: Tally  # of the rows whose label is known
    predicted: Counter[str]  # rows by prediction
    rejects: Counter[str]  # images that gave no row, by reason
    examples: Examples


def total(parts: Iterable[Scored]) -> Scored:
    """Add up one or more; the order makes no difference."""
    own = list(parts)
    return Scored(
        sum(part.rows for part in own),
        accumulator.total(part.tally for part in own),
        sum((part.predicted for part in own), Counter()),
        sum((part.rejects for part in own), Counter()),
        reduce(add, (part.examples for part in own)),
    )


def table(
    work: Work,
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
    label_ids = arrow.places(labels, arrow.of_text(work.labels))
    of_label = probabilities[np.arange(count), label_ids].astype(np.float64)
    losses = -np.log(np.maximum(of_label, calibration.LEAST_PROBABILITY))
    predictions = thresholds.predict(probabilities, work.threshold)
    ends = arrow.of_numbers(np.arange(count + 1) * classes, pa.int32())
    values = arrow.of_numbers(probabilities.ravel(), pa.float32())
    version, source = (arrow.of_text([text or ""]) for text in (work.version, fingerprint))
    made = {
        schema.KEY: keys,
        schema.LABEL: labels,
        schema.PREDICTION: pc.take(
            arrow.of_text(work.labels), arrow.of_numbers(predictions, pa.int64())
        ),
        schema.PROBABILITY: pa.ListArray.from_arrays(ends, values),
        schema.LOSS: _where(label_ids >= 0, arrow.of_numbers(losses, pa.float64())),
        schema.MODEL_VERSION: arrow.repeat(version, count),
        schema.FINGERPRINT: _where(
            np.full(count, fingerprint is not None), arrow.repeat(source, count)
        ),
    }
    return pa.table(list(made.values()), schema=schema.PREDICTIONS)


def of(
    work: Work,
    made: pa.Table,
    rejects: Sequence[str] = (),
    pixels: Optional[npt.NDArray[np.uint8]] = None,
) -> Scored:
    """Count predictions.

    Args:
        made: schema.PREDICTIONS, with other columns or not.
        rejects: the reason of each image that gave no row.
        pixels: (rows, H, W, C) uint8, for examples; none are chosen without.
    """
    label_ids = arrow.places(made[schema.LABEL], arrow.of_text(work.labels))
    known = np.flatnonzero(label_ids >= 0)
    rows = arrow.take(made, known)
    keys, label_ids = rows[schema.KEY].to_pylist(), label_ids[known]
    flat = pa.chunked_array(
        [chunk.flatten() for chunk in rows[schema.PROBABILITY].chunks], pa.float32()
    )
    probabilities = arrow.numbers(flat).reshape(-1, len(work.labels))
    shown = Examples()
    if pixels is not None:
        predictions = thresholds.predict(probabilities, work.threshold)
        shown = examples.of(
            *(keys, label_ids, predictions, probabilities),
            *(pixels[known], work.labels, work.threshold),
        )
    losses = arrow.numbers(rows[schema.LOSS])
    counted = pc.value_counts(made[schema.PREDICTION]).to_pylist()
    return Scored(
        made.num_rows,
        accumulator.of(keys, label_ids, probabilities, losses, work.threshold),
        Counter({one["values"]: one["counts"] for one in counted}),
        Counter(rejects),
        shown,
    )


def _where(mask: npt.NDArray[np.bool_], values: pa.Array) -> pa.Array:
    """Return `values` with null where `mask` is false."""
    said = pc.cast(arrow.of_numbers(mask.astype(np.int8), pa.int8()), pa.bool_())
    return pc.if_else(said, values, pa.nulls(len(values), values.type))
