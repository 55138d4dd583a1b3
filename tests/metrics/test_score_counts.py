from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from halftone.metrics import score_counts
from halftone.metrics.score_counts import ScoreCounts

PLENTY = 1 << 20


def count(scores: list[float], is_positive: list[int], max_codes: int = PLENTY) -> ScoreCounts:
    return score_counts.count_scores(
        np.array(scores, np.float32), np.array(is_positive, bool), max_codes
    )


def same(first: ScoreCounts, second: ScoreCounts) -> bool:
    return (
        first.codes.tolist() == second.codes.tolist()
        and first.counts.tolist() == second.counts.tolist()
        and first.dropped_bits == second.dropped_bits
    )


# --- by hand --------------------------------------------------------------------------------------


def test_rows_are_counted_by_score_from_the_highest() -> None:
    positives, negatives = count([0.3, 0.8, 0.9, 0.8, 0.8], [0, 1, 1, 0, 0]).split_by_class()
    assert positives.tolist() == [1, 1, 0]
    assert negatives.tolist() == [0, 2, 1]


def test_areas_by_hand() -> None:
    sides = np.array([1, 1, 0]), np.array([0, 1, 1])
    # Of the 4 pairs, 3 are in order and 1 is a tie.
    assert score_counts.roc_auc(*sides) == 3.5 / 4
    # One row of the class at a precision of 1, the other at 2 of 3.
    assert score_counts.average_precision(*sides) == (1 + 2 / 3) / 2


def test_many_samples_at_once() -> None:
    positives = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    negatives = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert score_counts.roc_auc(positives, negatives)[:3].tolist() == [1.0, 0.0, 0.5]
    assert score_counts.average_precision(positives, negatives)[:3].tolist() == [1.0, 0.5, 0.5]
    assert np.isnan(score_counts.roc_auc(positives, negatives)[3])


def test_a_side_without_rows_has_no_area() -> None:
    for sides in ([1, 1], [0, 0]):
        both = count([0.1, 0.7], sides).split_by_class()
        assert np.isnan(score_counts.roc_auc(*both))
        assert np.isnan(score_counts.average_precision(*both))


def test_no_rows_at_all_can_be_counted_and_added() -> None:
    some, none = count([0.5, 0.25], [1, 0]), count([], [])
    assert same(none + some, some)
    assert same(none + none, none)
    assert [side.tolist() for side in none.split_by_class()] == [[], []]


def test_adjacent_floats_are_distinct_and_both_zeros_are_equal() -> None:
    below_1 = float(np.nextafter(np.float32(1), np.float32(0)))
    above_0 = float(np.nextafter(np.float32(0), np.float32(1)))
    positives, _ = count([1, below_1, above_0, 0.0, -0.0], [1] * 5).split_by_class()
    assert positives.tolist() == [1, 1, 1, 2]


# --- against scikit-learn -------------------------------------------------------------------------

SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
ROWS = st.lists(st.tuples(SCORES, st.integers(0, 1)), max_size=40)


@given(ROWS.filter(lambda rows: len({side for _, side in rows}) == 2))
def test_areas_are_those_of_scikit_learn(rows: list[tuple[float, int]]) -> None:
    scores, is_positive = map(list, zip(*rows))
    sides = count(scores, is_positive).split_by_class()
    assert score_counts.roc_auc(*sides) == pytest.approx(
        reference.roc_auc_score(is_positive, scores), abs=1e-12
    )
    assert score_counts.average_precision(*sides) == pytest.approx(
        reference.average_precision_score(is_positive, scores), abs=1e-12
    )


@pytest.mark.parametrize("decimals", [1, 3, 9])
def test_areas_of_100_000_rows_are_those_of_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    is_positive = rng.random(100_000) < 0.1
    scores = rng.beta(1 + 3 * is_positive, 4).round(decimals).astype(np.float32)
    sides = score_counts.count_scores(scores, is_positive, PLENTY).split_by_class()
    expected = reference.roc_auc_score(is_positive, scores)
    assert score_counts.roc_auc(*sides) == pytest.approx(expected, abs=1e-10)
    expected = reference.average_precision_score(is_positive, scores)
    assert score_counts.average_precision(*sides) == pytest.approx(expected, abs=1e-10)


# --- additions ------------------------------------------------------------------------------------


@given(ROWS, st.randoms(use_true_random=False), st.sampled_from([PLENTY, 7, 2]))
def test_parts_in_any_order_are_the_whole(
    rows: list[tuple[float, int]], random: np.random.Generator, max_codes: int
) -> None:
    def count_part(part: list[tuple[float, int]]) -> ScoreCounts:
        return count([score for score, _ in part], [side for _, side in part], max_codes)

    whole = count_part(rows)
    random.shuffle(rows)
    cuts = sorted(random.randint(0, len(rows)) for _ in range(2))
    first, second, third = (count_part(rows[a:b]) for a, b in zip([0, *cuts], [*cuts, len(rows)]))
    assert same((first + second) + third, whole)
    assert same(third + (first + second), whole)
    assert len(whole.codes) <= max_codes


def test_areas_are_nearly_exact_beyond_the_maximum_size() -> None:
    rng = np.random.default_rng(0)
    is_positive = rng.random(100_000) < 0.3
    scores = rng.beta(1 + 2 * is_positive, 3).astype(np.float32)
    coarse = score_counts.count_scores(scores, is_positive, 10_000)
    assert 5_000 < len(coarse.codes) <= 10_000
    assert coarse.counts.sum() == 100_000
    exact = reference.roc_auc_score(is_positive, scores)
    assert score_counts.roc_auc(*coarse.split_by_class()) == pytest.approx(exact, abs=1e-5)


# --- curves ---------------------------------------------------------------------------------------


def test_curves_by_hand() -> None:
    roc, pr = score_counts.roc_and_pr_curves(np.array([1, 1, 0]), np.array([0, 1, 1]), 201)
    assert roc == [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]
    assert pr == [(0.0, 1.0), (0.5, 1.0), (1.0, 0.666667), (1.0, 0.5)]


@pytest.mark.parametrize("max_points", [21, 201])
def test_a_reduced_curve_has_both_ends_and_lies_on_the_full_one(max_points: int) -> None:
    rng = np.random.default_rng(0)
    is_positive = rng.random(5_000) < 0.02
    scores = rng.beta(1 + 8 * is_positive, 5).astype(np.float32)
    sides = score_counts.count_scores(scores, is_positive, PLENTY).split_by_class()
    roc, pr = score_counts.roc_and_pr_curves(*sides, max_points)
    assert max_points // 2 < len(roc) <= max_points
    assert len(pr) == len(roc)
    assert (roc[0], roc[-1]) == ((0, 0), (1, 1))
    assert (pr[0], pr[-1]) == ((0, 1), (1, round(is_positive.mean(), 6)))
    fpr, tpr, _ = reference.roc_curve(is_positive, scores, drop_intermediate=False)
    assert set(roc) <= set(zip(fpr.round(6), tpr.round(6)))
    precision, recall, _ = reference.precision_recall_curve(is_positive, scores)
    assert set(pr) <= set(zip(recall.round(6), precision.round(6)))
    assert np.abs(np.diff(roc, axis=0)).sum(axis=1).max() < 2 / (max_points - 1) + 0.02
