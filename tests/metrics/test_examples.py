"""Which rows are selected as examples."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.metrics import examples
from halftone.metrics.examples import Examples

LABELS = ("cat", "dog")


def select(
    p1: list[float], label_ids: list[int], threshold: float = 0.5, first: int = 0
) -> Examples:
    scores = np.array(p1, np.float32)
    return examples.select_examples(
        [f"{first + row:03d}" for row in range(len(p1))],
        np.array(label_ids, np.int64),
        (scores.astype(np.float64) >= threshold).astype(np.int64),
        np.stack([1 - scores, scores], axis=1),
        np.full((len(p1), 1, 1, 1), 7, np.uint8),
        LABELS,
        threshold,
    )


def test_the_most_confident_mistakes_and_the_least_certain_rows_come_first() -> None:
    selected = select([0.9, 0.25, 0.6, 0.05, 0.55], [0, 1, 0, 1, 1])
    assert [(example.key, example.label, example.prediction) for example in selected.mistakes] == [
        ("003", "dog", "cat"),
        ("000", "cat", "dog"),
        ("001", "dog", "cat"),
        ("002", "cat", "dog"),
    ]
    assert [example.probability for example in selected.mistakes] == pytest.approx(
        [0.95, 0.9, 0.75, 0.6]
    )
    assert [example.key for example in selected.least_certain] == [
        "004",
        "002",
        "001",
        "000",
        "003",
    ]
    assert [example.margin for example in selected.least_certain] == pytest.approx(
        [0.05, 0.1, 0.25, 0.4, 0.45]
    )
    assert selected.least_certain[0].pixels.tolist() == [[[7]]]


def test_the_margin_of_two_classes_is_the_distance_to_the_threshold() -> None:
    selected = select([0.5, 0.81], [0, 1], threshold=0.8)
    assert [example.key for example in selected.least_certain] == ["001", "000"]
    assert selected.mistakes == ()


def test_the_margin_of_more_classes_is_between_the_two_most_probable() -> None:
    probabilities = np.array([[0.5, 0.1, 0.4], [0.34, 0.33, 0.33], [0.1, 0.8, 0.1]], np.float32)
    selected = examples.select_examples(
        *(["x", "y", "z"], np.array([0, 1, 1]), probabilities.argmax(axis=1), probabilities),
        *(np.zeros((3, 2, 2, 1), np.uint8), ("a", "b", "c"), 0.5),
    )
    assert [example.key for example in selected.least_certain] == ["y", "x", "z"]
    assert [(example.key, example.label, example.prediction) for example in selected.mistakes] == [
        ("y", "b", "a")
    ]


def test_right_answers_are_those_with_the_lowest_hashes() -> None:
    selected = select([0.9, 0.1] * 20, [1, 0] * 19 + [0, 0])
    right = [example.key for example in selected.right]
    rows = [f"{row:03d}" for row in range(40) if row != 38]  # row 38 is a mistake

    def digest(key: str) -> bytes:
        return hashlib.blake2b(key.encode(), digest_size=8).digest()

    assert right == sorted(rows, key=digest)[:12]
    assert {(example.label, example.prediction) for example in selected.right} == {
        ("cat", "cat"),
        ("dog", "dog"),
    }


def keys(selected: Examples) -> tuple[list[str], ...]:
    return tuple([example.key for example in kind] for kind in selected)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]), st.integers(0, 1)), min_size=2),
    st.data(),
)
def test_selections_of_parts_add_up_to_the_selection_of_the_whole(
    rows: list[tuple[float, int]], data: st.DataObject
) -> None:
    rows = rows * 7  # more than are selected
    cut = data.draw(st.integers(1, len(rows) - 1))
    p1, ids = [row[0] for row in rows], [row[1] for row in rows]
    first, second = select(p1[:cut], ids[:cut]), select(p1[cut:], ids[cut:], first=cut)
    whole = keys(select(p1, ids))
    assert keys(first + second) == keys(second + first) == whole
    assert len(whole[1]) == min(48, len(rows))
    num_wrong = sum(int(p >= 0.5) != label for p, label in rows)
    assert len(whole[0]) == min(48, num_wrong)
    assert len(whole[2]) == min(12, len(rows) - num_wrong)
