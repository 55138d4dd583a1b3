from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.errors import InputError
from halftone.metrics import score_counts, thresholds
from halftone.metrics.score_counts import ScoreCounts

LABELS = np.array([0, 0, 1, 0, 1, 1], np.int32)
P1 = np.array([0.1, 0.2, 0.4, 0.6, 0.6, 0.9], np.float32)


def two(p1: list[float] | np.ndarray) -> np.ndarray:
    scores = np.asarray(p1, np.float32)
    return np.stack([1 - scores, scores], axis=1)


def score_ranges(labels: np.ndarray, p1: np.ndarray) -> Iterator[ScoreCounts]:
    """Count the scores of four ranges, the highest first; some may have no rows."""
    edges = [np.inf, 0.75, 0.5, 0.25, -np.inf]
    for high, low in zip(edges, edges[1:]):
        inside = (low <= p1) & (p1 < high)
        yield score_counts.count_scores(p1[inside], labels[inside] == 1, max_codes=100)


def best_f1(labels: np.ndarray, p1: np.ndarray) -> float:
    """Choose from ranges of scores and from all scores at once; the result is the same."""
    positives = int(np.count_nonzero(labels))
    threshold = thresholds.best_f1_threshold(score_ranges(labels, p1), positives)
    whole = [score_counts.count_scores(p1, labels == 1, max_codes=100)]
    assert threshold == thresholds.best_f1_threshold(whole, positives)
    return threshold


def precision(labels: np.ndarray, p1: np.ndarray, min_precision: float) -> float:
    threshold = thresholds.precision_threshold(score_ranges(labels, p1), min_precision)
    whole = [score_counts.count_scores(p1, labels == 1, max_codes=100)]
    assert threshold == thresholds.precision_threshold(whole, min_precision)
    return threshold


def test_two_classes_are_split_at_the_threshold() -> None:
    assert thresholds.predict_classes(two([0.4999, 0.5, 0.5001])).tolist() == [0, 1, 1]
    assert thresholds.predict_classes(two([0.4999, 0.5, 0.9]), 0.75).tolist() == [0, 0, 1]
    assert thresholds.predict_classes(two([0.0, 1.0]), 0.0).tolist() == [1, 1]


def test_of_more_classes_the_first_most_probable_one_is_predicted() -> None:
    rows = np.array([[0.2, 0.4, 0.4], [0.5, 0.0, 0.5], [0.1, 0.1, 0.8]], np.float32)
    assert thresholds.predict_classes(rows, 0.9).tolist() == [1, 0, 2]


def test_a_threshold_separates_adjacent_floats() -> None:
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(1))
    for scores in ([low, high], [high, np.nextafter(high, np.float32(1))]):
        threshold = best_f1(np.array([0, 1]), np.array(scores, np.float32))
        assert thresholds.predict_classes(two(scores), threshold).tolist() == [0, 1]


def test_the_best_f1_by_hand() -> None:
    # Cuts above 0.6: 1 hit of 1, F1 2/4; above 0.4: 2 of 3, 4/6; above 0.2: 3 of 4, 6/7.
    assert best_f1(LABELS, P1) == pytest.approx(0.3, abs=1e-7)


def test_of_thresholds_with_equal_f1_the_highest_is_chosen() -> None:
    labels, p1 = np.array([1, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    # One of one gives 2/3, and so do two of four.
    assert best_f1(labels, p1) == pytest.approx(0.85, abs=1e-7)


def test_if_every_row_is_of_class_1_the_threshold_is_below_all_scores() -> None:
    threshold = best_f1(np.array([1, 1]), np.array([0.5, 0.25], np.float32))
    assert threshold == 0.125


@pytest.mark.parametrize(
    ("min_precision", "threshold"),
    [(1.0, 0.75), (0.75, 0.3), (0.5, 0.05), (0.61, 0.3), (0.76, 0.75)],
)
def test_the_lowest_threshold_of_a_precision(min_precision: float, threshold: float) -> None:
    # From 0.75 on 1 of 1, from 0.5 on 2 of 3, from 0.3 on 3 of 4, from 0.15 on 3 of 5, 3 of 6.
    assert precision(LABELS, P1, min_precision) == pytest.approx(threshold, abs=1e-7)


def test_a_precision_that_no_threshold_reaches() -> None:
    labels, p1 = np.array([1, 0, 1, 1, 0]), np.array([0.6, 0.9, 0.7, 0.5, 0.4], np.float32)
    message = (
        "no threshold reaches a precision of 0.95 on these 5 rows; the best is 0.7500, at 0.4500 "
        "with 4 rows above it. Ask for that or less, or train a better model"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        precision(labels, p1, 0.95)


def test_no_rows() -> None:
    none = np.array([], np.int32), np.array([], np.float32)
    with pytest.raises(
        InputError,
        match=r"^no threshold can be chosen for a precision of 0\.9 from no rows$",
    ):
        precision(*none, 0.9)


def test_no_row_of_class_1() -> None:
    message = (
        "none of the 2 rows is of class 1, so no threshold is the best for F1; give rows of both "
        "classes, or stay with 0.5"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        best_f1(np.array([0, 0]), np.array([0.5, 0.25], np.float32))


ROWS = st.lists(
    st.tuples(
        st.integers(0, 1), st.one_of(st.sampled_from([0, 0.5, 1]), st.floats(0, 1, width=32))
    ),
    min_size=1,
    max_size=30,
)


def all_cuts(labels: np.ndarray, p1: np.ndarray) -> list[tuple[float, float, float]]:
    """Return (lowest score of class 1, F1, precision) of every way to cut the scores in two."""
    cuts = []
    for score in np.unique(p1):
        hits, predicted = int(labels[p1 >= score].sum()), int((p1 >= score).sum())
        cuts.append((float(score), 2 * hits / (labels.sum() + predicted), hits / predicted))
    return cuts


@given(ROWS.filter(lambda rows: any(label for label, _ in rows)))
def test_no_cut_has_a_better_f1(rows: list[tuple[int, float]]) -> None:
    labels, p1 = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)
    predicted_ids = thresholds.predict_classes(two(p1), best_f1(labels, p1))
    f1 = 2 * int((labels * predicted_ids).sum()) / (labels.sum() + predicted_ids.sum())
    assert f1 == max(cut_f1 for _, cut_f1, _ in all_cuts(labels, p1))


@given(ROWS, st.floats(0.01, 1))
def test_no_lower_cut_has_the_precision(
    rows: list[tuple[int, float]], min_precision: float
) -> None:
    labels, p1 = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)
    sufficient = [
        score for score, _, cut_precision in all_cuts(labels, p1) if cut_precision >= min_precision
    ]
    if sufficient:
        predicted_ids = thresholds.predict_classes(two(p1), precision(labels, p1, min_precision))
        assert predicted_ids.tolist() == (p1 >= min(sufficient)).astype(int).tolist()
    else:
        with pytest.raises(InputError, match="no threshold reaches"):
            precision(labels, p1, min_precision)
