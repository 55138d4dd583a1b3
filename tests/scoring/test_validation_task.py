"""What temperature and threshold are fitted on, summed up over files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drawn_predictions import calibrated
from halftone import arrow, storage
from halftone.metrics import calibration, score_counts, thresholds
from halftone.scoring import predictions, validation_task
from halftone.scoring.validation_task import SCORE_RANGE, VALIDATION_PREDICTIONS
from halftone.spark.frames import url_table

LABEL_IDS = np.array([1, 0, 1, 0, 1, 1], np.int32)
SCORES = np.array([0.9, 0.6, 0.6, 0.2, 0.2, 0.1], np.float32)


def write_files(
    folder: Path, label_ids: np.ndarray, probabilities: np.ndarray, num_files: int
) -> pa.Table:
    """Write VALIDATION_PREDICTIONS; return URLS."""
    urls = []
    parts = zip(np.array_split(label_ids, num_files), np.array_split(probabilities, num_files))
    for number, (ids, rows) in enumerate(parts):
        columns = [
            arrow.number_array(ids, pa.int32()),
            predictions.probability_column(np.ascontiguousarray(rows)),
        ]
        urls.append(str(folder / f"{number}.parquet"))
        storage.write_table(urls[-1], pa.table(columns, schema=VALIDATION_PREDICTIONS))
    return url_table(urls)


def two(scores: np.ndarray) -> np.ndarray:
    return np.stack([1 - scores, scores], axis=1).astype(np.float32)


def choose(
    urls: pa.Table, num_positives: int, min_precision: float | None, temperature: float = 1.0
) -> tuple[float, str]:
    """Count the files in two tasks, sort, and choose."""
    tables = [
        table
        for part in (urls.slice(0, 1), urls.slice(1))
        for table in validation_task.count_scores(temperature, [part])
    ]
    counts = pa.concat_tables(tables)
    order = pc.sort_indices(counts, sort_keys=[(SCORE_RANGE, "descending")])
    (result,) = validation_task.choose_threshold(
        num_positives, min_precision, [arrow.take_rows(counts, arrow.to_numpy(order))]
    )
    ((threshold, message),) = arrow.iter_rows(result, "threshold", "error")
    return threshold, message


def test_the_best_f1_and_a_precision_by_hand(tmp_path: Path) -> None:
    urls = write_files(tmp_path, LABEL_IDS, two(SCORES), 3)
    # From 0.9 on 1 of 1, F1 2/5; from 0.6 on 2 of 3, 4/7; from 0.2 on 3 of 5, 6/9; 4 of 6, 8/10.
    assert choose(urls, 4, None) == (pytest.approx(0.05), "")
    assert choose(urls, 4, 0.9) == (pytest.approx(0.75), "")
    assert choose(urls, 4, 0.66) == (pytest.approx(0.05), "")


def test_errors_are_returned(tmp_path: Path) -> None:
    urls = write_files(tmp_path, 0 * LABEL_IDS, two(SCORES), 2)
    assert choose(urls, 0, None)[1].startswith("none of the 6 rows is of class 1")
    assert choose(urls, 0, 0.5) == (
        0.0,
        "no threshold reaches a precision of 0.5 on these 6 rows; the best is 0.0000, at 0.7500 "
        "with 1 rows above it. Ask for that or less, or train a better model",
    )


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=4, max_size=40),
    st.sampled_from([1.0, 2.0]),
)
def test_files_give_the_threshold_of_all_rows(
    tmp_path: Path, rows: list[tuple[bool, float]], temperature: float
) -> None:
    label_ids = np.array([label for label, _ in rows], np.int32)
    probabilities = two(np.array([score for _, score in rows], np.float32))
    urls = write_files(tmp_path, label_ids, probabilities, 3)
    scores = calibration.apply_temperature(probabilities, temperature)[:, 1]
    counts = score_counts.count_scores(scores, label_ids == 1, max_codes=100)
    if label_ids.any():
        expected = thresholds.best_f1_threshold([counts], int(label_ids.sum()))
        assert choose(urls, int(label_ids.sum()), None, temperature) == (expected, "")
    assert choose(urls, int(label_ids.sum()), 0.0, temperature) == (
        thresholds.precision_threshold([counts], 0.0),
        "",
    )


def test_counts_are_yielded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = write_files(tmp_path, LABEL_IDS, two(SCORES), 3)
    assert len(list(validation_task.count_scores(1.0, [urls]))) == 1
    monkeypatch.setattr(validation_task, "_COUNTED_AT_ONCE", 3)
    tables = list(validation_task.count_scores(1.0, [urls]))
    assert [table.num_rows for table in tables] == [3, 2]
    assert choose(urls, 4, 0.9) == (pytest.approx(0.75), "")


def test_slopes_of_files_are_those_of_all_rows(tmp_path: Path) -> None:
    rows = calibrated(0, 100, 3, 2.0)
    urls = write_files(tmp_path, rows.label_ids, rows.probabilities, 4)
    inverse_temperatures = np.array([0.5, 1.0, 2.0])
    slopes = [
        result
        for (url,) in arrow.iter_rows(urls, "url")
        for (result,) in validation_task.sum_slopes(3, inverse_temperatures, url=url)
    ]
    np.testing.assert_allclose(
        np.sum(slopes, axis=0),
        calibration.cross_entropy_slopes(rows.label_ids, rows.probabilities, inverse_temperatures),
        rtol=1e-12,
    )
