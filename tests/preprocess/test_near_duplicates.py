"""The search finds the nearest row of an earlier split for each row, in Spark and without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np
import pytest
from pyspark.sql import SparkSession

from halftone.preprocess.near_duplicates import match_hashes, measure_chance
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import create_frame
from hash_pairs import HashRow, Match, hash_table, match_all_pairs, random_rows

TRAIN, VALIDATION, TEST = 0, 1, 2


def match(
    session: Optional[SparkSession], rows: Sequence[HashRow], distance: int, num_rows: int = 0
) -> list[Match]:
    hashes = create_frame(session, hash_table(rows), 2)
    found = match_hashes(hashes, num_rows or len(rows), distance)
    progress = ActionProgress("compare", "find near hashes")
    return sorted((row.id, row.near_id, row.distance) for row in collect_rows(found, progress))


def test_a_row_matches_only_rows_of_earlier_splits(spark: SparkSession) -> None:
    hashes = [0b1111, 0b0111, 0b0011, 0b1111]
    splits = [TRAIN, VALIDATION, TEST, TEST]
    rows = [HashRow(n, split, 0, value) for n, (split, value) in enumerate(zip(splits, hashes))]
    assert match(spark, rows, 4) == [(1, 0, 1), (2, 1, 1), (3, 0, 0)]
    assert match(spark, rows, 0) == [(3, 0, 0)]


def test_the_match_is_the_nearest_then_the_same_label_then_the_least_id(
    spark: SparkSession,
) -> None:
    rows = [
        HashRow(10, TRAIN, 7, 0b111),
        HashRow(11, TRAIN, 5, 0b001),
        HashRow(12, TRAIN, 6, 0b010),
        HashRow(13, VALIDATION, 6, 0b100),
        HashRow(14, TRAIN, 6, 0b010),
        HashRow(20, TEST, 7, 0b000),  # those at distance 1 have other labels
        HashRow(21, TEST, 6, 0b000),  # 12, 13 and 14 have the same label
        HashRow(22, TEST, 5, 0b000),
    ]
    assert match(spark, rows, 4) == [(13, 12, 2), (20, 11, 1), (21, 12, 1), (22, 11, 1)]


@pytest.mark.parametrize("splits", [[], [TEST], [TRAIN, TRAIN]])
def test_without_an_earlier_split_there_are_no_matches(
    spark: SparkSession, splits: list[int]
) -> None:
    rows = [HashRow(number, split, 0, 7) for number, split in enumerate(splits)]
    assert match(spark, rows, 4) == []


# The number of rows determines only the number of keys and tasks: 1 and 8.
@pytest.mark.parametrize("num_rows", [900, 1_000_000])
@pytest.mark.parametrize("in_spark", [True, False])
def test_the_result_is_that_of_comparing_all_pairs(
    spark: SparkSession, num_rows: int, in_spark: bool
) -> None:
    rows = random_rows(900)
    found = match(spark if in_spark else None, rows, 4, num_rows)
    assert found == match_all_pairs(rows, 4)
    assert len({distance for *_, distance in found}) == 5


def test_a_distance_out_of_range_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^max_distance is 64; it must be 0 to 63$"):
        match(None, [], 64)


# --- chance ---------------------------------------------------------------------------------------


def test_chance_is_that_of_pairs_with_different_labels() -> None:
    # Of the pairs with different labels, half differ in one bit, half in two.
    hashes, labels = np.array([0b00, 0b01, 0b11], np.uint64), np.array([1, 2, 2])
    chances = [measure_chance(hashes, labels, distance) for distance in range(3)]
    assert [round(chance, 2) for chance in chances] == [0, 0.5, 1]
    assert measure_chance(hashes, labels, 1) == chances[1]


@pytest.mark.parametrize("labels", [[], [1, 1]])
def test_chance_is_0_without_different_labels(labels: list[int]) -> None:
    hashes = np.zeros(len(labels), np.uint64)
    assert measure_chance(hashes, np.array(labels, np.int64), 4) == 0.0
