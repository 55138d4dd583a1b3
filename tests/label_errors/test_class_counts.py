"""Sums and counts of files, literally, and of all files, as Spark adds them up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from drawn_label_errors import LABELS, draw_rows, write_files, write_predictions
from halftone.label_errors import class_counts
from halftone.label_errors.confident_joint import judge_rows
from halftone.label_errors.prediction_files import create_files_frame

PROBABILITIES = np.array([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 1.0, 0.0]], np.float32)


def write_three(tmp_path: Path) -> str:
    path = str(tmp_path / "a.parquet")
    write_predictions(path, ["a", "b", "c"], ["cat", "cat", "dog"], PROBABILITIES)
    return path


def test_sums_of_a_file(tmp_path: Path) -> None:
    (table,) = class_counts.sum_file(tuple(LABELS), 0, 0, write_three(tmp_path))
    # 0.75 + 0.25 and 1.0, in units of 2**-32; owl has no row.
    assert [tuple(row.values()) for row in table.to_pylist()] == [(0, 2, 2**32), (1, 1, 2**32)]


def test_pairs_of_a_file(tmp_path: Path) -> None:
    thresholds = np.array([0.5, 0.75, 2.0])
    (table,) = class_counts.count_file(tuple(LABELS), thresholds, 0, 0, write_three(tmp_path))
    # (label, class, confident, issues)
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert rows == [(0, 0, 1, 0), (0, 1, 1, 1), (1, 1, 1, 0)]


def test_spark_adds_the_files_up(any_spark: SparkSession, tmp_path: Path) -> None:
    rows = draw_rows(500)
    paths = write_files(tmp_path, rows, [100, 130, 400])
    files = create_files_frame(any_spark, [(0, paths[:3]), (1, []), (2, paths[3:])])

    sums = class_counts.sum_probabilities(files, LABELS)
    of_label = rows.probabilities[np.arange(500), rows.label_ids].astype(np.float64)
    assert sums.num_rows.tolist() == np.bincount(rows.label_ids).tolist()
    np.testing.assert_allclose(sums.sums, np.bincount(rows.label_ids, of_label), atol=1e-7)

    pairs = class_counts.count_pairs(files, LABELS, rows.thresholds())
    judged = judge_rows(rows.label_ids, rows.probabilities, rows.thresholds())
    for counts, class_ids, mask in (
        (pairs.confident, judged.confident, judged.confident >= 0),
        (pairs.issues, judged.suggested, judged.is_issue),
    ):
        expected = np.zeros((3, 3), np.int64)
        np.add.at(expected, (rows.label_ids[mask], class_ids[mask]), 1)
        assert counts.tolist() == expected.tolist()
    assert pairs.issues.sum() > 20
