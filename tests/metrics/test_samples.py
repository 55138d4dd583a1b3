"""Which rows of raw images are selected for their page."""

from __future__ import annotations

import hashlib
from typing import Optional

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.metrics import samples
from halftone.metrics.samples import Samples

LABELS = ("cat", "dog")


def select(
    p1: list[float], labels: list[Optional[str]], threshold: float = 0.5, first: int = 0
) -> Samples:
    scores = np.array(p1, np.float32)
    return samples.select_samples(
        [f"{first + row:04d}" for row in range(len(p1))],
        labels,
        (scores.astype(np.float64) >= threshold).astype(np.int64),
        np.stack([1 - scores, scores], axis=1),
        LABELS,
        threshold,
    )


def test_mistakes_and_least_certain_rows() -> None:
    selected = select([0.9, 0.25, 0.6, 0.05, 0.55], ["cat", "dog", "cat", None, "dog"])
    assert [(row.key, row.label, row.prediction) for row in selected.mistakes] == [
        ("0000", "cat", "dog"),
        ("0001", "dog", "cat"),
        ("0002", "cat", "dog"),
    ]
    assert [row.key for row in selected.least_certain] == ["0004", "0002", "0001", "0000", "0003"]
    assert selected.least_certain[-1].label is None
    np.testing.assert_allclose(
        [(row.probability, row.margin) for row in selected.mistakes],
        [(0.9, 0.4), (0.75, 0.25), (0.6, 0.1)],
        atol=1e-6,
    )


def test_the_distribution_is_of_the_most_probable_class() -> None:
    """Whatever the threshold; 1.0 is in the last bin of width 1/40."""
    selected = select([1.0, 0.01, 0.51, 0.51, 0.5], [None] * 5, threshold=0.9)
    assert {bin_: n for bin_, n in enumerate(selected.confidences) if n} == {39: 2, 20: 3}
    assert Samples().confidences == (0,) * 40


def test_the_rows_of_a_class_have_the_lowest_hashes() -> None:
    selected = select([0.9, 0.1] * 40, [None] * 80)

    def order(key: str) -> bytes:
        return hashlib.blake2b(key.encode(), digest_size=8).digest()

    dogs = sorted((f"{row:04d}" for row in range(0, 80, 2)), key=order)[:12]
    assert [row.key for row in selected.of_class("dog")] == dogs
    assert len(selected.of_class("cat")) == 12
    assert selected.of_class("bird") == []


def test_no_rows() -> None:
    assert select([], []) == Samples()


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.sampled_from(["cat", "dog", None])),
        min_size=2,
        max_size=20,
    ),
    st.data(),
)
def test_selections_of_parts_add_up_to_the_selection_of_the_whole(
    rows: list[tuple[float, Optional[str]]], data: st.DataObject
) -> None:
    rows = rows * 7  # more than are selected
    cut = data.draw(st.integers(0, len(rows)))
    p1, labels = [row[0] for row in rows], [row[1] for row in rows]
    first, second = select(p1[:cut], labels[:cut]), select(p1[cut:], labels[cut:], first=cut)
    whole = select(p1, labels)
    assert first + second == second + first == whole
    assert len(whole.least_certain) == min(24, len(rows))
    assert max(len(whole.of_class(label)) for label in LABELS) <= 12
