"""The order of slices, and what is said of those that have no value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.metrics.model import SliceKind
from halftone.metrics.slices import SliceCounts, build_column


def counts(value: str, correct: int, rows: int, kind: SliceKind = "value") -> SliceCounts:
    recall = correct / rows
    return SliceCounts(
        kind, value if kind == "value" else None, rows, correct, recall, "cat", recall, rows
    )


def test_a_large_bad_slice_comes_before_a_tiny_one() -> None:
    column = build_column(
        "camera",
        [
            counts("good", 990, 1000),
            counts("tiny", 1, 2),
            counts("bad", 600, 1000),
            counts("", 3, 9, "empty"),
            counts("", 70, 100, "not in the catalogue"),
            counts("", 0, 50, "other values"),
        ],
        num_values=1003,
    )
    assert [(each.title, round(each.interval[1], 4)) for each in column.slices] == [
        ("bad", 0.6299),
        ("(empty)", 0.6458),
        ("(not in the catalogue)", 0.7811),
        ("tiny", 0.9055),
        ("good", 0.9946),
        ("(3 other values)", 0.0713),
    ]
    assert column.slices[0].accuracy == 0.6


def test_slices_with_the_same_end_are_sorted_by_rows_and_name() -> None:
    column = build_column("c", [counts("b", 5, 5), counts("d", 9, 9), counts("a", 5, 5)], 3)
    assert [each.value for each in column.slices] == ["d", "a", "b"]


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), min_size=1, max_size=30))
def test_slices_add_up_and_are_sorted_by_the_upper_ends(
    drawn: list[tuple[int, float]],
) -> None:
    given_counts = [
        counts(str(number), int(share * rows), rows) for number, (rows, share) in enumerate(drawn)
    ]
    column = build_column("c", given_counts, len(drawn))
    assert sum(each.rows for each in column.slices) == sum(rows for rows, _ in drawn)
    for earlier, later in zip(column.slices, column.slices[1:]):
        assert earlier.interval[1] <= later.interval[1]
    for each in column.slices:
        low, high = each.interval
        assert low <= each.accuracy + 1e-12
        assert each.accuracy <= high + 1e-12
        assert each.num_values == 1


def test_only_a_value_is_shown_without_brackets() -> None:
    (one,) = build_column("c", [counts("empty", 1, 1)], 1).slices
    assert (one.kind, one.value, one.title) == ("value", "empty", "empty")
    assert one.worst_class.to_json() == {"label": "cat", "recall": 1.0, "rows": 1}
    assert one.f1 == pytest.approx(1.0)
