"""Summaries of Spark's tasks are merged by workers where they are large."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from halftone import arrow
from halftone.dataset import schema
from halftone.metrics.examples import Examples
from halftone.scoring import predictions, summary_parts
from halftone.scoring.collect_summary import collect_summary, plan_merges
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.summary_parts import SUMMARY_PARTS
from halftone.spark import frames
from halftone.spark.actions import ActionProgress

PREDICTOR = PredictorSettings("n.keras", "v1", ("a", "b"), (16, 16, 1), 8, 1)
NUMBERS = pa.schema([pa.field("number", pa.int32())])


def count(number: int) -> PredictionSummary:
    """Return a summary that is small, but for its accumulator."""
    no_rows = arrow.empty_table(schema.PREDICTIONS)
    empty = predictions.summarise_predictions(PREDICTOR, no_rows)
    return empty._replace(num_rows=number, counts_by_class=Counter({f"n{number}": 1}))


@pytest.mark.parametrize("steps", [[], [3], [3, 1]])
def test_summaries_are_added_up(spark: SparkSession, steps: list[int]) -> None:
    numbers = frames.create_frame(spark, pa.table([range(1, 9)], schema=NUMBERS), 4)
    summaries = frames.map_tables(
        numbers, partial(summary_parts.summarise_rows, count), SUMMARY_PARTS
    )
    summary = collect_summary(spark, summaries, steps, ActionProgress("count", "count numbers"))
    assert (summary.num_rows, summary.examples) == (36, Examples())
    assert summary.counts_by_class == Counter({f"n{number}": 1 for number in range(1, 9)})


@pytest.mark.parametrize(
    ("summaries", "rows", "labels", "shape", "expected"),
    [
        (1, 10**9, 2, (64, 64, 1), []),
        (8, 1_000_000, 2, (64, 64, 1), []),
        (8, 10_000_000, 2, (64, 64, 1), []),
        (8, 20_000_000, 2, (64, 64, 1), [1]),
        (800, 10**9, 2, (64, 64, 1), [100, 13, 2, 1]),
        (800, 100_000, 2, (64, 64, 1), [100, 13]),
        (8, 1_000_000, 10, (64, 64, 1), []),
        (8, 1_000_000, 1000, (64, 64, 1), [1]),
        (8, 1000, 2, (1024, 1024, 3), [1]),
    ],
)
def test_workers_merge_what_is_large(
    summaries: int, rows: int, labels: int, shape: tuple[int, int, int], expected: list[int]
) -> None:
    predictor = PREDICTOR._replace(labels=tuple(map(str, range(labels))), shape=shape)
    assert plan_merges(summaries, rows, predictor) == expected
