"""Count rows by class, and by pairs of classes, in Spark: all that the estimate needs to know.

Workers count each file of predictions; Spark adds the counts up. The driver gets numbers whose
amount depends on the number of classes, not on that of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

from halftone import arrow
from halftone.label_errors import confident_joint
from halftone.label_errors.confident_joint import NO_CLASS
from halftone.label_errors.prediction_files import read_predictions
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import expand_rows

LABEL_ID, CLASS_ID = "label_id", "class_id"
# Probabilities are summed as multiples of this, so that the order of the sum makes no difference.
_UNIT = 2.0**-32
_SUMS = pa.schema(
    [
        pa.field(LABEL_ID, pa.int32()),
        pa.field("rows", pa.int64()),
        pa.field("units", pa.int64()),  # sum of the probability of the label
    ]
)
_PAIRS = pa.schema(
    [
        pa.field(LABEL_ID, pa.int32()),
        pa.field(CLASS_ID, pa.int32()),
        pa.field("confident", pa.int64()),  # rows with the label that are confidently of the class
        pa.field("issues", pa.int64()),  # issues with the label for which the class is suggested
    ]
)


class ClassSums(NamedTuple):
    num_rows: npt.NDArray[np.int64]  # (K,) by label
    sums: npt.NDArray[np.float64]  # (K,) of the probability of the label


class PairCounts(NamedTuple):
    """Rows by label and another class, (K, K) each."""

    confident: npt.NDArray[np.int64]  # the confident joint
    issues: npt.NDArray[np.int64]  # by suggested class


def sum_probabilities(files: DataFrame, labels: Sequence[str]) -> ClassSums:
    """Sum up the probabilities of the labels.

    Args:
        files: PREDICTION_FILES.
        labels: all classes.
    """
    sums = expand_rows(files, partial(sum_file, tuple(labels)), _SUMS)
    progress = ActionProgress("label errors", "sum up probabilities by class")
    rows = collect_rows(sums.groupBy(LABEL_ID).sum("rows", "units"), progress)
    result = ClassSums(np.zeros(len(labels), np.int64), np.zeros(len(labels)))
    for label_id, num_rows, units in rows:
        result.num_rows[label_id], result.sums[label_id] = num_rows, units * _UNIT
    return result


def sum_file(labels: tuple[str, ...], fold: int, shard: int, url: str) -> Iterator[pa.Table]:
    """Yield _SUMS of a file."""
    _, label_ids, probabilities = read_predictions(url, labels)
    of_label = probabilities[np.arange(len(label_ids)), label_ids].astype(np.float64)
    num_rows = np.bincount(label_ids, minlength=len(labels))
    units = np.zeros(len(labels), np.int64)
    np.add.at(units, label_ids, np.rint(of_label / _UNIT).astype(np.int64))
    yield _count_table(_SUMS, [np.arange(len(labels))], [num_rows, units])


def count_pairs(
    files: DataFrame, labels: Sequence[str], thresholds: npt.NDArray[np.float64]
) -> PairCounts:
    """Count the confident joint and the issues.

    Args:
        files: PREDICTION_FILES.
        labels: all K classes.
        thresholds: (K,) see `confident_joint.class_thresholds`.
    """
    pairs = expand_rows(files, partial(count_file, tuple(labels), thresholds), _PAIRS)
    progress = ActionProgress("label errors", "count labels by confident class")
    grouped = pairs.groupBy(LABEL_ID, CLASS_ID).sum("confident", "issues")
    shape = (len(labels), len(labels))
    result = PairCounts(np.zeros(shape, np.int64), np.zeros(shape, np.int64))
    for label_id, class_id, num_confident, num_issues in collect_rows(grouped, progress):
        result.confident[label_id, class_id] = num_confident
        result.issues[label_id, class_id] = num_issues
    return result


def count_file(
    labels: tuple[str, ...],
    thresholds: npt.NDArray[np.float64],
    fold: int,
    shard: int,
    url: str,
) -> Iterator[pa.Table]:
    """Yield _PAIRS of a file."""
    _, label_ids, probabilities = read_predictions(url, labels)
    judged = confident_joint.judge_rows(label_ids, probabilities, thresholds)
    num_classes = len(labels)
    pairs = [
        label_ids[mask].astype(np.int64) * num_classes + class_ids[mask]
        for class_ids, mask in (
            (judged.confident, judged.confident != NO_CLASS),
            (judged.suggested, judged.is_issue),
        )
    ]
    codes = np.unique(np.concatenate(pairs))
    counts = [np.bincount(np.searchsorted(codes, of), minlength=len(codes)) for of in pairs]
    yield _count_table(_PAIRS, [codes // num_classes, codes % num_classes], counts)


def _count_table(
    schema: pa.Schema,
    ids: Sequence[npt.NDArray[np.int64]],
    counts: Sequence[npt.NDArray[np.int64]],
) -> pa.Table:
    """Return a table of ids and counts, without rows that are all 0."""
    columns = [*ids, *counts]
    kept = np.flatnonzero(np.any(counts, axis=0))
    arrays = [
        arrow.number_array(column[kept], field.type) for column, field in zip(columns, schema)
    ]
    return pa.table(arrays, schema=schema)
