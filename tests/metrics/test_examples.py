"""Which rows are shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.metrics import examples
from halftone.metrics.examples import Examples

LABELS = ("cat", "dog")


def chosen(
    p1: list[float], label_ids: list[int], threshold: float = 0.5, first: int = 0
) -> Examples:
    ones = np.array(p1, np.float32)
    return examples.select_examples(
        [f"{first + row:03d}" for row in range(len(p1))],
        np.array(label_ids, np.int64),
        (ones.astype(np.float64) >= threshold).astype(np.int64),
        np.stack([1 - ones, ones], axis=1),
        np.full((len(p1), 1, 1, 1), 7, np.uint8),
        LABELS,
        threshold,
    )


def test_the_surest_mistakes_and_the_least_sure_rows_come_first() -> None:
    found = chosen([0.9, 0.25, 0.6, 0.05, 0.55], [0, 1, 0, 1, 1])
    assert [(one.key, one.label, one.prediction) for one in found.mistakes] == [
        ("003", "dog", "cat"),
        ("000", "cat", "dog"),
        ("001", "dog", "cat"),
        ("002", "cat", "dog"),
    ]
    assert [one.probability for one in found.mistakes] == pytest.approx([0.95, 0.9, 0.75, 0.6])
    assert [one.key for one in found.least_certain] == ["004", "002", "001", "000", "003"]
    assert [one.margin for one in found.least_certain] == pytest.approx(
        [0.05, 0.1, 0.25, 0.4, 0.45]
    )
    assert found.least_certain[0].pixels.tolist() == [[[7]]]


def test_doubt_is_the_distance_to_the_threshold() -> None:
    found = chosen([0.5, 0.81], [0, 1], threshold=0.8)
    assert [one.key for one in found.least_certain] == ["001", "000"]
    assert found.mistakes == ()


def test_among_more_classes_doubt_is_the_distance_of_the_two_most_probable() -> None:
    probabilities = np.array([[0.5, 0.1, 0.4], [0.34, 0.33, 0.33], [0.1, 0.8, 0.1]], np.float32)
    found = examples.select_examples(
        *(["x", "y", "z"], np.array([0, 1, 1]), probabilities.argmax(axis=1), probabilities),
        *(np.zeros((3, 2, 2, 1), np.uint8), ("a", "b", "c"), 0.5),
    )
    assert [one.key for one in found.least_certain] == ["y", "x", "z"]
    assert [(one.key, one.label, one.prediction) for one in found.mistakes] == [("y", "b", "a")]


def keys(found: Examples) -> tuple[list[str], list[str]]:
    return [one.key for one in found.mistakes], [one.key for one in found.least_certain]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]), st.integers(0, 1)), min_size=2),
    st.data(),
)
def test_parts_added_up_choose_as_the_whole(
    rows: list[tuple[float, int]], data: st.DataObject
) -> None:
    rows = rows * 7  # more than are shown
    cut = data.draw(st.integers(1, len(rows) - 1))
    p1, ids = [row[0] for row in rows], [row[1] for row in rows]
    one, other = chosen(p1[:cut], ids[:cut]), chosen(p1[cut:], ids[cut:], first=cut)
    whole = keys(chosen(p1, ids))
    assert keys(one + other) == keys(other + one) == whole
    assert len(whole[1]) == min(48, len(rows))
    assert len(whole[0]) == min(48, sum(int(p >= 0.5) != label for p, label in rows))
