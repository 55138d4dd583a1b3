from __future__ import annotations

import pickle
import re
from dataclasses import astuple, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_predictions import build_predictions, calibrated, with_ties
from halftone.errors import InputError
from halftone.metrics import accumulator, group_sums
from halftone.metrics.accumulator import MetricsAccumulator
from halftone.metrics.group_sums import FIXED_POINT_ONE

TWO = build_predictions(
    [0, 0, 1, 1, 1], [[0.9, 0.1], [0.5, 0.5], [0.25, 0.75], [0.7, 0.3], [0.0, 1.0]]
)
THREE = build_predictions(
    [0, 1, 2, 2], [[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]]
)


def arrays(value: Any) -> list[Any]:
    """Return the content of an accumulator as lists, to compare."""
    if isinstance(value, np.ndarray):
        return [value.dtype, value.shape, value.tolist()]
    return [arrays(part) for part in value] if isinstance(value, (tuple, list)) else [value]


def same(first: MetricsAccumulator, second: MetricsAccumulator) -> bool:
    return arrays(astuple(first)) == arrays(astuple(second))


# --- by hand --------------------------------------------------------------------------------------


def test_two_classes() -> None:
    accumulated = TWO.accumulate()
    assert accumulated.confusion.tolist() == [[1, 1], [1, 2]]
    assert accumulated.label_ranks.tolist() == [4, 1]
    bins = {
        (side, place): count
        for (side, place), count in np.ndenumerate(accumulated.score_histogram)
        if count
    }
    assert bins == {(0, 4): 1, (0, 20): 1, (1, 12): 1, (1, 30): 1, (1, 39): 1}
    hits, support, predicted = accumulated.group_sums.class_counts.sum(axis=0).tolist()
    assert (hits, support, predicted) == ([1, 2], [2, 3], [2, 3])
    loss, brier = accumulated.group_sums.losses.sum(axis=0) / FIXED_POINT_ONE
    assert loss == pytest.approx(TWO.losses.sum(), abs=1e-8)
    assert brier == pytest.approx(0.1**2 + 0.5**2 + 0.25**2 + 0.7**2, abs=1e-7)
    rows, right, confidence = accumulated.group_sums.calibration.sum(axis=0)
    assert np.flatnonzero(rows).tolist() == [7, 10, 11, 13, 14]
    assert right[[7, 10, 11, 13, 14]].tolist() == [0, 0, 1, 1, 1]
    assert confidence[[7, 11, 14]].tolist() == [
        0.5 * FIXED_POINT_ONE,
        0.75 * FIXED_POINT_ONE,
        FIXED_POINT_ONE,
    ]
    (scores,) = accumulated.score_counts
    positives, negatives = scores.split_by_class()
    assert (positives.tolist(), negatives.tolist()) == ([1, 1, 0, 1, 0], [0, 0, 1, 0, 1])


def test_a_threshold_changes_the_decisions_and_not_the_calibration() -> None:
    accumulated, usual = TWO.accumulate(threshold=0.8), TWO.accumulate()
    assert accumulated.confusion.tolist() == [[2, 0], [2, 1]]
    assert accumulated.group_sums.class_counts.sum(axis=0).tolist() == [[2, 1], [2, 3], [4, 1]]
    assert accumulated.group_sums.calibration.tolist() == usual.group_sums.calibration.tolist()
    assert accumulated.score_histogram.tolist() == usual.score_histogram.tolist()


def test_three_classes() -> None:
    accumulated = THREE.accumulate()
    # Classes 0 and 1 of the second row are equally probable: the first one is predicted.
    assert accumulated.confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    # For the third row, class 1 is more probable than the label, and class 0 equally probable.
    assert accumulated.label_ranks.tolist() == [2, 1, 1]
    wrong, right = accumulated.score_histogram
    assert (wrong[20], right[20], right[39]) == (2, 1, 1)
    assert accumulated.score_histogram.sum() == 4
    brier = 0.375 + 0.5 + 0.875 + 0.0
    assert accumulated.group_sums.losses.sum(axis=0)[1] == brier * FIXED_POINT_ONE
    sides = [
        [side.tolist() for side in scores.split_by_class()] for scores in accumulated.score_counts
    ]
    assert sides == [
        [[1, 0, 0], [1, 1, 1]],
        [[1, 0, 0], [1, 1, 1]],
        [[1, 1, 0], [0, 1, 1]],
    ]


def test_the_histogram_equals_that_of_numpy() -> None:
    rows = calibrated(0, 5000, 2)
    p1 = rows.probabilities[:, 1].astype(np.float64)
    for label, counts in enumerate(rows.accumulate().score_histogram.tolist()):
        expected, _ = np.histogram(p1[rows.label_ids == label], bins=40, range=(0, 1))
        assert counts == expected.tolist()


# --- groups of rows -------------------------------------------------------------------------------


def test_the_group_of_a_key_never_changes() -> None:
    assert accumulator._group_ids(["cat/0.jpg", "cat/1.jpg", "", "ä"]).tolist() == [65, 52, 0, 205]


@pytest.mark.parametrize("pattern", ["{}", "photo/{:06d}.jpg", "s3://bucket/{:x}/face.png"])
def test_numbered_keys_are_spread_over_groups_at_random(pattern: str) -> None:
    groups = accumulator._group_ids([pattern.format(number) for number in range(25_600)])
    counts = np.bincount(groups, minlength=256)
    # 100 rows per group with a standard deviation of 10, as for random groups.
    assert counts.std() == pytest.approx(10, abs=1.5)
    assert 50 < counts.min() < 90
    # The groups of two keys that differ in one letter are independent.
    pairs = accumulator._group_ids([pattern.format(number) + "b" for number in range(25_600)])
    assert len(np.unique(groups * 256 + pairs)) == pytest.approx(
        65536 * (1 - np.exp(-25600 / 65536)), rel=0.01
    )


# --- additions ------------------------------------------------------------------------------------


@given(
    st.integers(0, 1000),
    st.sampled_from([2, 3, 12]),
    st.integers(0, 60),
    st.lists(st.integers(0, 60), max_size=4),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40)
def test_parts_in_any_order_are_the_whole(
    seed: int, classes: int, rows: int, cuts: list[int], random: Any
) -> None:
    drawn = with_ties(seed, rows, classes)
    order = list(range(rows))
    random.shuffle(order)
    edges = [0, *sorted(min(cut, rows) for cut in cuts), rows]
    parts = [drawn.rows(np.array(order[a:b], int)).accumulate() for a, b in zip(edges, edges[1:])]
    assert same(accumulator.sum_pairwise(parts), drawn.accumulate())
    assert same(sum(parts[1:], parts[0]), drawn.accumulate())


def test_a_sum_adds_parts_of_equal_size_first(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    add = MetricsAccumulator.__add__

    def recorded_add(first: MetricsAccumulator, second: MetricsAccumulator) -> MetricsAccumulator:
        sizes.append((int(first.confusion.sum()), int(second.confusion.sum())))
        return add(first, second)

    monkeypatch.setattr(MetricsAccumulator, "__add__", recorded_add)
    rows = calibrated(0, 7, 2)
    accumulator.sum_pairwise(rows.rows(np.array([row])).accumulate() for row in range(7))
    assert sizes == [(1, 1), (1, 1), (2, 2), (1, 1), (1, 2), (3, 4)]


def test_an_accumulator_can_be_pickled() -> None:
    accumulated = calibrated(0, 100, 3).accumulate()
    assert same(pickle.loads(pickle.dumps(accumulated)), accumulated)


def test_the_size_of_an_accumulator_is_bounded() -> None:
    def size_bytes(value: Any) -> int:
        if isinstance(value, np.ndarray):
            return value.nbytes
        return sum(map(size_bytes, value)) if isinstance(value, (tuple, list)) else 0

    drawn = calibrated(0, 20_000, 10)
    rest = size_bytes(astuple(calibrated(0, 1, 10).accumulate()))
    assert rest < 2.3e6
    assert size_bytes(astuple(drawn.accumulate())) < rest + 8 * 20_000 * 10


def test_sums_do_not_overflow() -> None:
    rows = build_predictions([0] * 300, [[0.0, 1.0]] * 300)
    many = accumulator.accumulate_rows(
        rows.keys, rows.label_ids, rows.probabilities, np.full(300, 1e6)
    )
    for _ in range(4):
        many = many + many
    assert many.group_sums.losses[:, 0].sum() == 4800 * 10**6 * FIXED_POINT_ONE


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, -0.25, 1.5])
def test_a_value_that_is_not_a_probability_is_refused(value: float) -> None:
    rows = build_predictions([0, 1], [[0.5, 0.5], [0.5, value]])
    message = (
        f"photo/00001.jpg: the model gives class 1 a probability of {value}, which is not between "
        "0 and 1; train it again"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        rows.accumulate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": ["a"]},
         "1 keys, label_ids (2,), probabilities (2, 2), losses (2,); all must have the same rows"),
        ({"losses": np.zeros(3)},
         "2 keys, label_ids (2,), probabilities (2, 2), losses (3,); all must have the same rows"),
        ({"probabilities": np.zeros((2, 2))},
         "probabilities are float64 (2, 2); they must be float32 (N, classes), of two classes or "
         "more"),
        ({"probabilities": np.zeros((2, 1), np.float32)},
         "probabilities are float32 (2, 1); they must be float32 (N, classes), of two classes or "
         "more"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    rows = build_predictions([0, 1], [[0.5, 0.5], [0.5, 0.5]])._replace(**changes)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        rows.accumulate()


def test_every_field_is_added_up() -> None:
    single = calibrated(0, 50, 3).accumulate()
    twice = single + single
    for field in fields(MetricsAccumulator):
        before, after = arrays(getattr(single, field.name)), arrays(getattr(twice, field.name))
        assert before != after, field.name
    assert twice.confusion.sum() == 100
    assert len(twice.group_sums.class_counts) == group_sums.NUM_GROUPS
