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


def removable(artifacts: list[DatedArtifact], count: int, days: float, *needed: str) -> list[str]:
    return retention.list_removable(artifacts, count, days, needed, NOW)


def test_by_count_and_by_age() -> None:
    artifacts = aged(50, 40, 31, 29, 5, 1)
    assert removable(artifacts, 1, 30) == ["1", "2", "3"]
    assert removable(artifacts, 4, 30) == ["1", "2"]
    assert removable(artifacts, 2, 0) == ["1", "2", "3", "4"]
    assert removable(artifacts, 10, 0) == []


def test_needed_artifacts_stay_in_addition_to_the_newest() -> None:
    assert removable(aged(50, 40, 31, 1), 2, 0, "1") == ["2"]


@given(
    st.lists(st.floats(0, 100), max_size=20), st.integers(1, 8), st.floats(0, 60), st.integers(1, 5)
)
def test_needed_new_and_young_artifacts_are_never_removed(
    days: list[float], count: int, limit: float, needed: int
) -> None:
    artifacts = aged(*days)
    removed = set(removable(artifacts, count, limit, str(needed)))
    assert str(needed) not in removed
    kept = [artifact for artifact in artifacts if artifact.name not in removed]
    assert len(kept) >= min(count, len(artifacts))
    assert all(
        NOW - artifact.timestamp >= timedelta(days=limit)
        for artifact in artifacts
        if artifact.name in removed
    )
    # A second call finds nothing more to remove.
    assert removable(kept, count, limit, str(needed)) == []
