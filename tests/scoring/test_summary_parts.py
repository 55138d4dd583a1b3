"""Summaries that are cut into rows, and merged in workers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from halftone import arrow
from halftone.scoring import predictions, summary_parts
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.summary_parts import SUMMARY_PARTS

PREDICTOR = PredictorSettings("n.keras", "v1", ("a", "b"), (1, 1, 1), 8, 1)
ROWS = pa.schema([pa.field("number", pa.int32()), pa.field("name", pa.string())])


def summarise(number: int, name: str) -> PredictionSummary:
    """Summarise a row of class a, predicted with a probability that depends on the number."""
    probabilities = np.array([[1 - number / 16, number / 16]], np.float32)
    table = predictions.prediction_table(
        PREDICTOR, arrow.string_array([name]), arrow.string_array(["a"]), probabilities, None
    )
    pixels = np.full((1, 1, 1, 1), number, np.uint8)
    return predictions.summarise_predictions(PREDICTOR, table, pixels=pixels)


def rows_of(*tables: pa.Table) -> list[tuple[int, int, bytes]]:
    return [row for table in tables for row in arrow.iter_rows(table, *SUMMARY_PARTS.names)]


def test_a_large_summary_is_cut_and_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_parts, "_PART_BYTES", 1_000_000)
    table = summary_parts.cut_summary(7, summarise(3, "k"))
    assert table.schema == SUMMARY_PARTS
    assert [row[:2] for row in rows_of(table)] == [(7, 0), (7, 1), (7, 2)]
    assert [len(row[2]) for row in rows_of(table)[:2]] == [1_000_000] * 2
    other = summary_parts.cut_summary(9, summarise(8, "l"))
    joined = list(summary_parts.join_parts(rows_of(table, other)))
    assert [number for number, _ in joined] == [7, 9]
    assert [summary.counts_by_class for _, summary in joined] == [Counter(a=1), Counter(b=1)]
    (_, first), _ = joined
    assert first.examples.least_certain[0].key == "k"
    assert first.accumulator.confusion.tolist() == [[1, 0], [0, 0]]


def test_a_partition_of_rows_gives_one_summary() -> None:
    first = pa.table([[4, 2], ["k4", "k2"]], schema=ROWS)
    second = pa.table([[12], ["k12"]], schema=ROWS)
    (table,) = summary_parts.summarise_rows(summarise, [first, second])
    ((number, summary),) = summary_parts.join_parts(rows_of(table))
    assert (number, summary.num_rows, summary.counts_by_class) == (4, 3, Counter(a=2, b=1))
    assert [example.key for example in summary.examples.mistakes] == ["k12"]


def test_a_partition_of_summaries_gives_one_summary() -> None:
    tables = [summary_parts.cut_summary(number, summarise(number, "k")) for number in (3, 5, 9)]
    (table,) = summary_parts.merge_parts(tables)
    ((number, summary),) = summary_parts.join_parts(rows_of(table))
    assert (number, summary.num_rows, summary.counts_by_class) == (3, 3, Counter(a=2, b=1))


def test_an_empty_partition_gives_nothing() -> None:
    assert list(summary_parts.summarise_rows(summarise, [])) == []
    assert list(summary_parts.merge_parts([arrow.empty_table(SUMMARY_PARTS)])) == []
