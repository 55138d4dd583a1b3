"""Which slices hold a challenger back."""

from __future__ import annotations

from typing import Any

import pytest

from halftone.config import GateSettings
from halftone.metrics.model import SliceKind, SliceScores
from halftone.metrics.slices import SliceCounts, build_column
from halftone.retrain.gate.slices import slice_drop_reason, slice_floor_reason


def scores(*slices: tuple[str, int, int, float], kind: SliceKind = "value") -> SliceScores:
    """Return slices (value, correct, rows, F1) of a column; those without a value are `kind`."""
    counts = [
        SliceCounts(kind if not value else "value", value or None, rows, correct, f1, "a", 0.0, 1)
        for value, correct, rows, f1 in slices
    ]
    column = build_column("camera", counts, 1000 + len(counts))
    return SliceScores(catalogue="c", digest="d", rows=1, columns=[column])


SLICES = scores(("north", 90, 100, 0.8), ("south", 70, 100, 0.85), ("tiny", 0, 9, 0.0))


def floor(slices: SliceScores | None = SLICES, **settings: Any) -> str:
    return slice_floor_reason(slices, GateSettings(slice_min_rows=10, **settings))


def test_the_lowest_slice_below_the_floor_is_the_reason() -> None:
    assert floor(slice_floor=0.9) == (
        "accuracy 0.7000 on the 100 rows of camera south is below 0.9 (retrain.gate.slice_floor)"
    )
    assert floor(slice_floor=0.9, measure="f1") == (
        "f1 0.8000 on the 100 rows of camera north is below 0.9 (retrain.gate.slice_floor)"
    )
    assert floor(slice_floor=0.7) == ""
    assert floor() == ""
    assert floor(None, slice_floor=0.9) == ""


def test_a_slice_counts_from_the_least_number_of_rows_on() -> None:
    reason = slice_floor_reason(SLICES, GateSettings(slice_floor=0.5, slice_min_rows=9))
    assert reason.startswith("accuracy 0.0000 on the 9 rows of camera tiny is below 0.5 ")
    assert slice_floor_reason(SLICES, GateSettings(slice_floor=0.5, slice_min_rows=101)) == ""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (
            "not in the catalogue",
            "accuracy 0.1000 on the 100 rows of camera (not in the catalogue) is below 0.5 "
            "(retrain.gate.slice_floor)",
        ),
        (
            "empty",
            "accuracy 0.1000 on the 100 rows of camera (empty) is below 0.5 "
            "(retrain.gate.slice_floor)",
        ),
        ("other values", ""),
    ],
)
def test_rows_without_a_value_are_a_slice_and_other_values_are_none(
    kind: SliceKind, reason: str
) -> None:
    assert floor(scores(("", 10, 100, 0.1), kind=kind), slice_floor=0.5) == reason


def test_the_slice_that_loses_most_is_the_reason() -> None:
    before = scores(("north", 90, 100, 0.9), ("south", 90, 100, 0.9), ("gone", 99, 100, 0.9))
    now = scores(("north", 85, 100, 0.9), ("south", 80, 100, 0.8), ("new", 1, 100, 0.0))
    settings = GateSettings(max_slice_drop=0.05)
    assert slice_drop_reason(before, now, settings) == (
        "accuracy on the 100 rows of camera south falls from 0.9000 to 0.8000, by more than 0.05 "
        "(retrain.gate.max_slice_drop)"
    )
    assert slice_drop_reason(before, now, GateSettings(max_slice_drop=0.1)) == ""
    assert slice_drop_reason(before, now, GateSettings(max_slice_drop=0, slice_min_rows=101)) == ""
    assert slice_drop_reason(now, before, settings) == ""
    assert slice_drop_reason(None, None, settings) == ""


def test_without_settings_slices_hold_no_challenger_back() -> None:
    before, now = scores(("north", 100, 100, 1.0)), scores(("north", 0, 100, 0.0))
    assert slice_drop_reason(before, now, GateSettings()) == ""
    assert slice_floor_reason(now, GateSettings()) == ""
    assert not GateSettings().uses_slices
    assert GateSettings(slice_floor=0.1).uses_slices
    assert GateSettings(max_slice_drop=0.1).uses_slices
