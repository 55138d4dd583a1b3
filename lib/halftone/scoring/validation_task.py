"""Predicts the validation split, and sums up what temperature and threshold are fitted on.

Runs in Spark's Python workers, and in the driver for small files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby
from operator import add
from typing import Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow, storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.stored_images import StoredImages, read_shard
from halftone.errors import InputError
from halftone.metrics import calibration, score_counts, thresholds
from halftone.metrics.score_counts import ScoreCounts
from halftone.scoring import predict, predictions
from halftone.scoring.predict import PredictorSettings, Probabilities
from halftone.spark.frames import URL

# A file of predictions that are not scaled by a temperature.
VALIDATION_PREDICTIONS = pa.schema(
    [
        pa.field(schema.LABEL_ID, pa.int32(), nullable=False),
        pa.field(schema.PROBABILITY, pa.list_(pa.float32()), nullable=False),
    ]
)
NUM_ROWS, NUM_POSITIVES = "num_rows", "num_positives"
# What the predictions of a shard have: rows, and rows of the class with id 1.
ROW_COUNTS = pa.schema([pa.field(NUM_ROWS, pa.int64()), pa.field(NUM_POSITIVES, pa.int64())])
SLOPES = "slopes"
# Slopes of the cross-entropy of a file, one for each temperature.
FILE_SLOPES = pa.schema([pa.field(SLOPES, pa.list_(pa.float64()))])
SCORE_RANGE, CODES, COUNTS = "score_range", "codes", "counts"
# Rows of two classes by their probability of the second: the content of a ScoreCounts.
SCORE_RANGES = pa.schema(
    [
        pa.field(SCORE_RANGE, pa.int32()),  # of the probability; a higher one has a higher number
        pa.field(CODES, pa.binary()),
        pa.field(COUNTS, pa.binary()),
    ]
)
THRESHOLD, ERROR = "threshold", "error"
THRESHOLDS = pa.schema([pa.field(THRESHOLD, pa.float64()), pa.field(ERROR, pa.string())])
# A range has at most 2**22 distinct codes, of 8 bytes. There are 508 ranges.
_RANGE_BITS = 22
_MAX_CODES = 2**32  # no limit: counts are exact
# Rows whose counts a worker keeps until it yields them. Spark moves up to 128 ranges at once.
_COUNTED_AT_ONCE = 2**18


def predict_shard(
    predictor: PredictorSettings, stored: PixelSpec, *, number: int, source: str, target: str
) -> list[tuple[int, int]]:
    """Write the VALIDATION_PREDICTIONS of a shard, unless they exist; return ROW_COUNTS.

    Args:
        stored: how the dataset stores its images.
        number, source, target: a row of shard_task.SHARDS.
    """
    num_rows = storage.count_rows(source)
    if num_rows is not None and storage.count_rows(target) == num_rows:
        label_ids = arrow.to_numpy(storage.read_table(target, [schema.LABEL_ID])[schema.LABEL_ID])
    else:
        rows = read_shard(source, [schema.LABEL_ID, schema.IMAGE])
        label_ids = arrow.to_numpy(rows[schema.LABEL_ID])
        images = StoredImages(rows[schema.IMAGE], stored, source).pixels()
        probabilities = predict.predict_probabilities(predictor, images)
        columns = [rows[schema.LABEL_ID], predictions.probability_column(probabilities)]
        table = pa.table(columns, schema=VALIDATION_PREDICTIONS)
        storage.write_table(target, predictions.with_views(predictor, table))
    return [(len(label_ids), int(np.count_nonzero(label_ids == 1)))]


def sum_slopes(
    num_classes: int, inverse_temperatures: npt.NDArray[np.float64], *, url: str
) -> list[tuple[list[float]]]:
    """Return the slopes of the cross-entropy of a file of VALIDATION_PREDICTIONS, FILE_SLOPES."""
    rows = _read_predictions(url, num_classes)
    return [(calibration.cross_entropy_slopes(*rows, inverse_temperatures).tolist(),)]


def _read_predictions(url: str, num_classes: int) -> tuple[npt.NDArray[np.int32], Probabilities]:
    table = storage.read_table(url)
    probabilities = predictions.read_probabilities(table[schema.PROBABILITY], num_classes)
    return arrow.to_numpy(table[schema.LABEL_ID]), probabilities


def count_scores(temperature: float, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Count the rows of files of VALIDATION_PREDICTIONS of two classes by score.

    Args:
        temperature: by which the probabilities are scaled first.
        tables: URLS of files.

    Yields:
        SCORE_RANGES; several rows may be of the same range.
    """
    pending: list[ScoreCounts] = []
    num_pending = 0
    for table in tables:
        for (url,) in arrow.iter_rows(table, URL):
            label_ids, probabilities = _read_predictions(url, 2)
            scores = calibration.apply_temperature(probabilities, temperature)[:, 1]
            pending.append(score_counts.count_scores(scores, label_ids == 1, _MAX_CODES))
            num_pending += len(label_ids)
            if num_pending >= _COUNTED_AT_ONCE:
                yield _cut_ranges(reduce(add, pending))
                pending, num_pending = [], 0
    if pending:
        yield _cut_ranges(reduce(add, pending))


def _cut_ranges(counts: ScoreCounts) -> pa.Table:
    """Return SCORE_RANGES."""
    ranges, starts = np.unique(counts.codes >> np.uint32(_RANGE_BITS), return_index=True)
    ends = np.append(starts[1:], len(counts.codes))
    columns = [arrow.number_array(ranges.astype(np.int32), pa.int32())]
    for values in (counts.codes, counts.counts):
        parts = [values[start:end].tobytes() for start, end in zip(starts, ends)]
        columns.append(arrow.binary_array(parts))
    return pa.table(columns, schema=SCORE_RANGES)


def choose_threshold(
    num_positives: int, min_precision: Optional[float], tables: Iterable[pa.Table]
) -> Iterator[pa.Table]:
    """Choose a threshold between two classes; yield one row of THRESHOLDS.

    Args:
        num_positives: all rows of the class with id 1.
        min_precision: None: the threshold with the best F1.
        tables: SCORE_RANGES of all rows, the highest range first.
    """
    counts = _merge_ranges(tables)
    threshold, message = 0.0, ""
    try:
        if min_precision is None:
            threshold = thresholds.best_f1_threshold(counts, num_positives)
        else:
            threshold = thresholds.precision_threshold(counts, min_precision)
    except InputError as error:  # the driver raises it again
        message = str(error)
    columns = [arrow.number_array([threshold], pa.float64()), arrow.string_array([message])]
    yield pa.table(columns, schema=THRESHOLDS)


def _merge_ranges(tables: Iterable[pa.Table]) -> Iterator[ScoreCounts]:
    """Yield the counts of each range; the rows of a range follow each other."""
    rows = (row for table in tables for row in arrow.iter_rows(table, *SCORE_RANGES.names))
    for _, group in groupby(rows, key=lambda row: row[0]):
        yield reduce(
            add,
            (
                ScoreCounts(
                    np.frombuffer(codes, np.uint32), np.frombuffer(counts, np.uint32), _MAX_CODES
                )
                for _, codes, counts in group
            ),
        )
