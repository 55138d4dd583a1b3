"""Bring the summaries of Spark's tasks to the driver, merged by workers if they are large."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from halftone.metrics.accumulator import MAX_SCORES
from halftone.metrics.examples import MAX_EXAMPLES, MAX_RIGHT
from halftone.scoring import predictions, summary_parts
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.summary_parts import NUMBER, PART, SUMMARY_PARTS
from halftone.spark import actions, frames
from halftone.spark.actions import ActionProgress

# Summaries of so many bytes are merged by the driver. Spark refuses results of more than
# spark.driver.maxResultSize, which is 1 GiB by default.
_MAX_DRIVER_BYTES = 256 * 2**20
_MERGED_AT_ONCE = 8  # by one worker, on average
# The largest parts of a summary: sums of any number of classes, of each class, and scores.
_MIN_BYTES, _CLASS_BYTES, _SCORE_BYTES = 3 * 2**20, 48 * 2**10, 8


def collect_summary(
    session: SparkSession,
    summaries: DataFrame,
    merge_steps: Sequence[int],
    progress: ActionProgress,
) -> PredictionSummary:
    """Return the sum of the summaries in a DataFrame.

    Args:
        summaries: SUMMARY_PARTS, one summary or more.
        merge_steps: as `plan_merges` returns them.

    Raises:
        RunError: a task failed as often as Spark retries; with the worker's error message.
    """
    for num_summaries in merge_steps:
        summaries = summaries.repartition(num_summaries, NUMBER)
        summaries = summaries.sortWithinPartitions(NUMBER, PART)
        summaries = frames.map_tables(summaries, summary_parts.merge_parts, SUMMARY_PARTS)
    rows = sorted(tuple(row) for row in actions.collect_rows(summaries, progress))
    return predictions.merge_summaries(summary for _, summary in summary_parts.join_parts(rows))


def plan_merges(num_summaries: int, num_rows: int, predictor: PredictorSettings) -> list[int]:
    """Return the number of summaries after each step in which workers merge them.

    Args:
        num_summaries: before the first step.
        num_rows: that are summarised.
    """
    num_classes = len(predictor.labels)
    pixel_bytes = (2 * MAX_EXAMPLES + MAX_RIGHT) * math.prod(predictor.shape)
    bytes_each = _MIN_BYTES + _CLASS_BYTES * num_classes + pixel_bytes
    steps: list[int] = []
    while num_summaries > 1:
        num_scores = min(num_rows * num_classes, num_summaries * MAX_SCORES)
        if num_summaries * bytes_each + num_scores * _SCORE_BYTES <= _MAX_DRIVER_BYTES:
            break
        num_summaries = math.ceil(num_summaries / _MERGED_AT_ONCE)
        steps.append(num_summaries)
    return steps
