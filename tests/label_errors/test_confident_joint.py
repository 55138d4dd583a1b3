"""Thresholds, confident joint and issues, literally and compared with cleanlab."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from cleanlab import count, filter, rank
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.label_errors.confident_joint import (
    NO_CLASS,
    calibrate_joint,
    class_thresholds,
    judge_rows,
)


class Rows(NamedTuple):
    label_ids: np.ndarray  # (N,)
    probabilities: np.ndarray  # (N, K) float32

    def num_rows(self) -> np.ndarray:
        return np.bincount(self.label_ids, minlength=self.probabilities.shape[1])

    def thresholds(self) -> np.ndarray:
        of_label = self.probabilities[np.arange(len(self.label_ids)), self.label_ids]
        sums = np.bincount(self.label_ids, of_label.astype(np.float64), self.probabilities.shape[1])
        return class_thresholds(self.num_rows(), sums)

    def confident_joint(self) -> np.ndarray:
        judged = judge_rows(*self, self.thresholds())
        joint = np.zeros((self.probabilities.shape[1],) * 2, np.int64)
        is_confident = judged.confident != NO_CLASS
        np.add.at(joint, (self.label_ids[is_confident], judged.confident[is_confident]), 1)
        return joint


@st.composite
def drawn_rows(draw: st.DrawFn) -> Rows:
    """Rows of a model that is better than chance, with ties; every class has a row."""
    num_classes = draw(st.integers(2, 6))
    num_rows = draw(st.integers(num_classes, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    label_ids = rng.permutation(np.arange(num_rows) % num_classes)
    logits = rng.normal(size=(num_rows, num_classes)) * draw(st.sampled_from([0.0, 1.0, 4.0]))
    logits[np.arange(num_rows), label_ids] += draw(st.sampled_from([0.0, 1.0, 3.0]))
    logits += rng.normal(size=num_classes)  # some classes are more probable than others
    if draw(st.booleans()):
        logits = logits.round()
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Rows(label_ids, shares.astype(np.float32))


# Thresholds: 0: (0.9 + 0.8 + 0.1) / 3 = 0.6, 1: (0.8 + 0.5) / 2 = 0.65, 2: 0.4
LITERAL = Rows(
    np.array([0, 0, 0, 1, 1, 2]),
    np.array(
        [
            [0.9, 0.05, 0.05],
            [0.8, 0.1, 0.1],
            [0.1, 0.7, 0.2],  # confidently of class 1: an issue
            [0.1, 0.8, 0.1],
            [0.1, 0.5, 0.4],  # reaches the threshold of class 2 only, but is of class 1 by itself
            [0.55, 0.05, 0.4],  # another class is more probable, without reaching its threshold
        ],
        np.float32,
    ),
)


def test_literal_rows() -> None:
    assert LITERAL.thresholds().round(6).tolist() == [0.6, 0.65, 0.4]
    judged = judge_rows(*LITERAL, LITERAL.thresholds())
    assert judged.confident.tolist() == [0, 0, 1, 1, 2, 2]
    assert judged.is_issue.tolist() == [False, False, True, False, False, False]
    assert judged.suggested.tolist() == [1, 1, 1, 0, 2, 0]
    assert judged.margin.round(6).tolist() == [0.85, 0.7, -0.6, 0.7, 0.1, -0.15]
    joint = LITERAL.confident_joint()
    assert joint.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert calibrate_joint(joint, np.array([30, 20, 10])).tolist() == [
        [20, 10, 0],
        [0, 10, 10],
        [0, 0, 10],
    ]


def test_of_several_reached_classes_the_most_probable_counts() -> None:
    probabilities = np.array([[0.5, 0.2, 0.3], [0.45, 0.25, 0.3]], np.float32)
    judged = judge_rows(np.array([1, 1]), probabilities, np.array([0.48, 0.1, 0.1]))
    # The second row's most probable class does not reach its own threshold.
    assert judged.confident.tolist() == [0, 2]
    assert judged.suggested.tolist() == [0, 0]
    assert judged.is_issue.tolist() == [True, True]


def test_no_class_is_reached() -> None:
    probabilities = np.array([[0.4, 0.6]], np.float32)
    judged = judge_rows(np.array([0]), probabilities, np.array([0.9, 0.8]))
    assert (judged.confident.tolist(), judged.is_issue.tolist()) == ([NO_CLASS], [False])


def test_a_class_without_rows_is_reached_by_none_and_has_no_estimate() -> None:
    rows = Rows(np.array([0, 1]), np.array([[0.2, 0.1, 0.7], [0.1, 0.2, 0.7]], np.float32))
    assert rows.thresholds()[2] == 2.0
    judged = judge_rows(*rows, rows.thresholds())
    assert judged.confident.tolist() == [0, 1]
    estimate = calibrate_joint(rows.confident_joint(), rows.num_rows())
    assert estimate.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_equal_probabilities_reach_their_mean() -> None:
    rows = Rows(np.zeros(10, np.int64), np.tile(np.array([[0.1, 0.9]], np.float32), (10, 1)))
    judged = judge_rows(*rows, rows.thresholds())
    assert judged.confident.tolist() == [0] * 10
    assert judged.margin.round(6).tolist() == [-0.8] * 10


def test_a_tie_of_the_label_and_another_class_is_no_issue() -> None:
    judged = judge_rows(np.array([0]), np.array([[0.5, 0.5]], np.float32), np.array([0.9, 0.5]))
    assert (judged.confident.tolist(), judged.is_issue.tolist()) == ([1], [False])
    assert judged.margin.tolist() == [0]


@settings(max_examples=150)
@given(drawn_rows())
def test_results_are_those_of_cleanlab(rows: Rows) -> None:
    label_ids, probabilities = rows.label_ids, rows.probabilities.astype(np.float64)
    thresholds = rows.thresholds()
    np.testing.assert_allclose(
        thresholds, count.get_confident_thresholds(label_ids, probabilities), rtol=1e-12
    )
    judged = judge_rows(*rows, thresholds)
    margins = rank.get_label_quality_scores(label_ids, probabilities, method="normalized_margin")
    np.testing.assert_allclose((judged.margin + 1) / 2, margins, atol=1e-12)

    # If a row reaches several thresholds, cleanlab takes its most probable class, whether it
    # reaches its own or not; the paper takes the most probable one of those that are reached.
    reached = probabilities >= thresholds - 1e-6
    most_probable = probabilities.argmax(axis=1)
    is_same = (reached.sum(axis=1) < 2) | reached[np.arange(len(label_ids)), most_probable]
    for row in np.flatnonzero(~is_same):
        of_reached = {k: probabilities[row, k] for k in np.flatnonzero(reached[row])}
        assert judged.confident[row] == max(of_reached, key=lambda k: (of_reached[k], -k))

    issues = filter.find_label_issues(
        label_ids, probabilities, filter_by="confident_learning", n_jobs=1
    )
    np.testing.assert_array_equal(judged.is_issue[is_same], issues[is_same])

    joint = np.zeros((probabilities.shape[1],) * 2, np.int64)
    is_counted = is_same & (judged.confident != NO_CLASS)
    np.add.at(joint, (label_ids[is_counted], judged.confident[is_counted]), 1)
    expected = count.compute_confident_joint(
        label_ids[is_same], probabilities[is_same], thresholds=thresholds, calibrate=False
    )
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))  # as cleanlab does
    np.testing.assert_array_equal(joint, expected)


@settings(max_examples=50)
@given(drawn_rows())
def test_the_calibrated_joint_is_that_of_cleanlab_before_it_is_rounded(rows: Rows) -> None:
    joint = rows.confident_joint()
    estimate = calibrate_joint(joint, rows.num_rows())
    np.testing.assert_allclose(estimate.sum(axis=1), rows.num_rows())
    counted = joint.copy()
    np.fill_diagonal(counted, np.maximum(counted.diagonal(), 1))
    rounded = count.calibrate_confident_joint(counted, rows.label_ids)
    assert np.abs(estimate - rounded).max() <= 1
