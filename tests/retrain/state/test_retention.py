from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from halftone.retrain.state import retention
from halftone.retrain.state.retention import DatedArtifact

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)


def aged(*days: float) -> list[DatedArtifact]:
    return [
        DatedArtifact(str(number), NOW - timedelta(days=age)) for number, age in enumerate(days, 1)
    ]


def removable(there: list[DatedArtifact], count: int, days: float, *needed: str) -> list[str]:
    return retention.list_removable(there, count, days, needed, NOW)


def test_by_count_and_by_age() -> None:
    there = aged(50, 40, 31, 29, 5, 1)
    assert removable(there, 1, 30) == ["1", "2", "3"]
    assert removable(there, 4, 30) == ["1", "2"]
    assert removable(there, 2, 0) == ["1", "2", "3", "4"]
    assert removable(there, 10, 0) == []


def test_what_is_needed_stays_and_takes_no_place_of_another() -> None:
    assert removable(aged(50, 40, 31, 1), 2, 0, "1") == ["2"]


@given(
    st.lists(st.floats(0, 100), max_size=20), st.integers(1, 8), st.floats(0, 60), st.integers(1, 5)
)
def test_never_what_is_needed_new_or_young(
    days: list[float], count: int, limit: float, needed: int
) -> None:
    there = aged(*days)
    gone = set(removable(there, count, limit, str(needed)))
    assert str(needed) not in gone
    kept = [one for one in there if one.name not in gone]
    assert len(kept) >= min(count, len(there))
    assert all(NOW - one.timestamp >= timedelta(days=limit) for one in there if one.name in gone)
    # And nothing that may go is left: running it again finds no more.
    assert removable(kept, count, limit, str(needed)) == []
