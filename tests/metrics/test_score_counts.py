from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from halftone.metrics import score_counts
from halftone.metrics.score_counts import ScoreCounts

PLENTY = 1 << 20


def counted(scores: list[float], of_class: list[int], most: int = PLENTY) -> ScoreCounts:
    return score_counts.count_scores(np.array(scores, np.float32), np.array(of_class, bool), most)


def same(one: ScoreCounts, other: ScoreCounts) -> bool:
    return (
        one.codes.tolist() == other.codes.tolist()
        and one.counts.tolist() == other.counts.tolist()
        and one.dropped_bits == other.dropped_bits
    )


# --- by hand --------------------------------------------------------------------------------------


def test_rows_are_counted_by_score_from_the_highest() -> None:
    ours, others = counted([0.3, 0.8, 0.9, 0.8, 0.8], [0, 1, 1, 0, 0]).split_by_class()
    assert ours.tolist() == [1, 1, 0]
    assert others.tolist() == [0, 2, 1]


def test_areas_by_hand() -> None:
    sides = np.array([1, 1, 0]), np.array([0, 1, 1])
    # Of the 4 pairs, 3 are in order and 1 is a tie.
    assert score_counts.roc_auc(*sides) == 3.5 / 4
    # One row of the class at a precision of 1, the other at 2 of 3.
    assert score_counts.average_precision(*sides) == (1 + 2 / 3) / 2


def test_many_samples_at_once() -> None:
    ours = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    others = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert score_counts.roc_auc(ours, others)[:3].tolist() == [1.0, 0.0, 0.5]
    assert score_counts.average_precision(ours, others)[:3].tolist() == [1.0, 0.5, 0.5]
    assert np.isnan(score_counts.roc_auc(ours, others)[3])


def test_a_side_without_rows_has_no_area() -> None:
    for sides in ([1, 1], [0, 0]):
        both = counted([0.1, 0.7], sides).split_by_class()
        assert np.isnan(score_counts.roc_auc(*both))
        assert np.isnan(score_counts.average_precision(*both))


def test_no_rows_at_all_can_be_counted_and_added() -> None:
    some, none = counted([0.5, 0.25], [1, 0]), counted([], [])
    assert same(none + some, some)
    assert same(none + none, none)
    assert [side.tolist() for side in none.split_by_class()] == [[], []]


def test_neighbours_among_floats_are_told_apart_and_both_zeros_are_one() -> None:
    below_1 = float(np.nextafter(np.float32(1), np.float32(0)))
    above_0 = float(np.nextafter(np.float32(0), np.float32(1)))
    ours, _ = counted([1, below_1, above_0, 0.0, -0.0], [1] * 5).split_by_class()
    assert ours.tolist() == [1, 1, 1, 2]


# --- against scikit-learn -------------------------------------------------------------------------

SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
ROWS = st.lists(st.tuples(SCORES, st.integers(0, 1)), max_size=40)


@given(ROWS.filter(lambda rows: len({side for _, side in rows}) == 2))
def test_areas_are_those_of_scikit_learn(rows: list[tuple[float, int]]) -> None:
    scores, of_class = map(list, zip(*rows))
    sides = counted(scores, of_class).split_by_class()
    assert score_counts.roc_auc(*sides) == pytest.approx(
        reference.roc_auc_score(of_class, scores), abs=1e-12
    )
    assert score_counts.average_precision(*sides) == pytest.approx(
        reference.average_precision_score(of_class, scores), abs=1e-12
    )


@pytest.mark.parametrize("decimals", [1, 3, 9])
def test_areas_of_100_000_rows_are_those_of_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    of_class = rng.random(100_000) < 0.1
    scores = rng.beta(1 + 3 * of_class, 4).round(decimals).astype(np.float32)
    sides = score_counts.count_scores(scores, of_class, PLENTY).split_by_class()
    expected = reference.roc_auc_score(of_class, scores)
    assert score_counts.roc_auc(*sides) == pytest.approx(expected, abs=1e-10)
    expected = reference.average_precision_score(of_class, scores)
    assert score_counts.average_precision(*sides) == pytest.approx(expected, abs=1e-10)


# --- additions ------------------------------------------------------------------------------------


@given(ROWS, st.randoms(use_true_random=False), st.sampled_from([PLENTY, 7, 2]))
def test_parts_in_any_order_are_the_whole(
    rows: list[tuple[float, int]], random: np.random.Generator, most: int
) -> None:
    def of(part: list[tuple[float, int]]) -> ScoreCounts:
        return counted([score for score, _ in part], [side for _, side in part], most)

    whole = of(rows)
    random.shuffle(rows)
    cuts = sorted(random.randint(0, len(rows)) for _ in range(2))
    first, second, third = (of(rows[a:b]) for a, b in zip([0, *cuts], [*cuts, len(rows)]))
    assert same((first + second) + third, whole)
    assert same(third + (first + second), whole)
    assert len(whole.codes) <= most


def test_beyond_its_size_a_ranking_is_nearly_exact() -> None:
    rng = np.random.default_rng(0)
    of_class = rng.random(100_000) < 0.3
    scores = rng.beta(1 + 2 * of_class, 3).astype(np.float32)
    coarse = score_counts.count_scores(scores, of_class, 10_000)
    assert 5_000 < len(coarse.codes) <= 10_000
    assert coarse.counts.sum() == 100_000
    exact = reference.roc_auc_score(of_class, scores)
    assert score_counts.roc_auc(*coarse.split_by_class()) == pytest.approx(exact, abs=1e-5)


# --- curves ---------------------------------------------------------------------------------------


def test_curves_by_hand() -> None:
    roc, pr = score_counts.roc_and_pr_curves(np.array([1, 1, 0]), np.array([0, 1, 1]), 201)
    assert roc == [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]
    assert pr == [(0.0, 1.0), (0.5, 1.0), (1.0, 0.666667), (1.0, 0.5)]


@pytest.mark.parametrize("points", [21, 201])
def test_a_drawn_curve_has_both_ends_and_lies_on_the_whole_one(points: int) -> None:
    rng = np.random.default_rng(0)
    of_class = rng.random(5_000) < 0.02
    scores = rng.beta(1 + 8 * of_class, 5).astype(np.float32)
    sides = score_counts.count_scores(scores, of_class, PLENTY).split_by_class()
    roc, pr = score_counts.roc_and_pr_curves(*sides, points)
    assert points // 2 < len(roc) <= points
    assert len(pr) == len(roc)
    assert (roc[0], roc[-1]) == ((0, 0), (1, 1))
    assert (pr[0], pr[-1]) == ((0, 1), (1, round(of_class.mean(), 6)))
    fpr, tpr, _ = reference.roc_curve(of_class, scores, drop_intermediate=False)
    assert set(roc) <= set(zip(fpr.round(6), tpr.round(6)))
    precision, recall, _ = reference.precision_recall_curve(of_class, scores)
    assert set(pr) <= set(zip(recall.round(6), precision.round(6)))
    assert np.abs(np.diff(roc, axis=0)).sum(axis=1).max() < 2 / (points - 1) + 0.02
