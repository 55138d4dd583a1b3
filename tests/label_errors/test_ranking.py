"""The order of rows, in one file and in several, and the columns of the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from drawn_label_errors import LABELS, DrawnRows, draw_rows, write_files, write_predictions
from halftone.label_errors import ranking
from halftone.label_errors.confident_joint import judge_rows
from halftone.label_errors.prediction_files import create_files_frame


def rank_rows(
    spark: SparkSession, paths: list[str], thresholds: np.ndarray, num_rows: int, folder: Path
) -> pa.Table:
    files = create_files_frame(spark, [(0, paths)])
    judged = ranking.judge_files(files, LABELS, thresholds)
    parts = ranking.write_sorted(judged, num_rows, str(folder / "sorted"))
    targets = [str(folder / f"{number}.parquet") for number in range(len(parts))]
    ranking.write_ranks(spark, parts, targets)
    return pa.concat_tables(pq.read_table(target) for target in targets)


def test_rows_are_sorted_by_the_probability_of_their_label_and_by_key(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.parquet")
    probabilities = np.array(
        [
            [0.75, 0.25, 0.0],
            [0.25, 0.75, 0.0],  # an issue
            [0.125, 0.875, 0.0],  # a worse issue
            [0.0, 0.125, 0.875],  # the worst label, no issue: owl's threshold is not reached
            [0.75, 0.25, 0.0],  # like the first
        ],
        np.float32,
    )
    write_predictions(path, ["b", "c", "d", "e", "a"], ["cat"] * 5, probabilities)
    table = rank_rows(spark, [path], np.array([0.5, 0.75, 0.9]), 5, tmp_path)
    assert table.schema.equals(ranking.LABEL_ERRORS)
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("e", "cat", "owl", 0.0, 0.875, -0.875, 1, False, 0),
        ("d", "cat", "dog", 0.125, 0.875, -0.75, 2, True, 0),
        ("c", "cat", "dog", 0.25, 0.75, -0.5, 3, True, 0),
        ("a", "cat", "dog", 0.75, 0.25, 0.5, 4, False, 0),
        ("b", "cat", "dog", 0.75, 0.25, 0.5, 5, False, 0),
    ]


def expected_keys(rows: DrawnRows) -> list[str]:
    judged = judge_rows(rows.label_ids, rows.probabilities, rows.thresholds())
    order = zip(judged.label_probability, judged.margin, rows.keys)
    return [key for _, _, key in sorted(order)]


def test_several_files_are_in_the_order_of_one(
    any_spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "ROWS_PER_FILE", 100)
    rows = draw_rows(400)
    paths = write_files(tmp_path, rows, [50, 51, 300])
    table = rank_rows(any_spark, paths, rows.thresholds(), 400, tmp_path)
    assert len(list((tmp_path / "sorted").iterdir())) == 4
    assert table["key"].to_pylist() == expected_keys(rows)
    assert table["rank"].to_pylist() == list(range(1, 401))
    # The changed labels are the first ones.
    wrong = {key for key, is_wrong in zip(rows.keys, rows.is_wrong) if is_wrong}
    first = table["key"].to_pylist()[: len(wrong)]
    assert len(wrong & set(first)) >= 0.9 * len(wrong)


def test_the_first_rows_say_where_their_images_are(tmp_path: Path) -> None:
    rows = draw_rows(30)
    (path,) = write_files(tmp_path, rows, [])
    (judged,) = ranking.judge_file(tuple(LABELS), rows.thresholds(), 3, 7, path)
    pq.write_table(judged, tmp_path / "sorted.parquet")
    first = ranking.read_first(str(tmp_path / "sorted.parquet"), 2)
    assert first.select(["fold", "shard", "row"]).to_pylist() == [
        {"fold": 3, "shard": 7, "row": 0},
        {"fold": 3, "shard": 7, "row": 1},
    ]
