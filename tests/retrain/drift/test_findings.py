from __future__ import annotations

from typing import Any, Optional

import pytest

from halftone import config
from halftone.config import ConfigError, DriftSettings
from halftone.retrain.drift.findings import (
    OK,
    STOP,
    WARN,
    DriftFinding,
    RejectCounts,
    describe_findings,
    find_drift,
    find_new_classes,
    worst_level,
)
from halftone.retrain.drift.statistics import BINS, EMPTY, MEASURES, ImageStatistics

SOME = RejectCounts(1000, 10)
NO_NEW = RejectCounts(0, 0)


def traits(classes: dict[str, int], **peaks: int) -> ImageStatistics:
    """Rows of these classes; each measure has all of them in four bins around one."""
    rows = sum(classes.values())
    histograms = {}
    for name in MEASURES:
        middle = peaks.get(name.replace(" ", "_"), 20)
        counts = [0] * BINS
        for step in range(4):
            counts[middle + step] = rows // 4
        histograms[name] = counts
    return ImageStatistics(classes, histograms)


BEFORE = traits({"comic": 400, "photo": 400})


def levels(new: ImageStatistics, now: RejectCounts = NO_NEW, **settings: Any) -> dict[str, str]:
    found = find_drift(BEFORE, new, SOME, now, DriftSettings(**settings))
    return {one.what: one.level for one in found if one.level != OK}


def test_the_same_is_no_drift() -> None:
    assert levels(traits({"comic": 40, "photo": 40})) == {}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (traits({"comic": 40, "photo": 40}, pixel_mean=50), "pixel mean"),
        (traits({"comic": 40, "photo": 40}, pixel_deviation=5), "pixel deviation"),
        (traits({"comic": 40, "photo": 40}, image_size=30), "image size"),
        (traits({"comic": 40, "photo": 40}, file_size=30), "file size"),
        (traits({"comic": 78, "photo": 2}), "class shares"),
    ],
)
def test_each_measure_is_seen(new: ImageStatistics, expected: str) -> None:
    assert levels(new) == {expected: STOP}


def test_a_share_of_rejects_is_that_of_this_night() -> None:
    same = traits({"comic": 40, "photo": 40})
    assert levels(same, RejectCounts(100, 1)) == {}
    assert levels(same, RejectCounts(100, 60)) == {"share of rejects": STOP}
    assert levels(EMPTY, RejectCounts(40, 40)) == {"share of rejects": STOP}


def test_a_small_drift_warns() -> None:
    new = traits({"comic": 560, "photo": 240})
    assert levels(new) == {"class shares": WARN}
    assert levels(new, stop=0.15) == {"class shares": STOP}
    assert levels(new, warn=0.2) == {}


def test_few_images_are_not_judged_by_chance() -> None:
    assert levels(traits({"comic": 4, "photo": 0})) == {}
    assert levels(traits({"comic": 4, "photo": 0}), confidence=0.6) == {"class shares": STOP}


def test_without_rows_before_there_is_nothing_to_compare() -> None:
    assert find_drift(EMPTY, BEFORE, NO_NEW, RejectCounts(800, 0), DriftSettings()) == []
    assert find_new_classes(EMPTY, BEFORE) == []


def test_new_classes_are_named() -> None:
    new = traits({"photo": 4, "sketch": 4, "etching": 4})
    assert find_new_classes(BEFORE, new) == ["etching", "sketch"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [(["ok", "warn", "ok"], "warn"), (["warn", "stop"], "stop"), (["ok"], "ok"), ([], "ok")],
)
def test_the_worst_level_counts(found: list[str], expected: str) -> None:
    assert worst_level([DriftFinding("x", 0.0, 0.0, level) for level in found]) == expected


def test_what_has_drifted_most_is_said_first() -> None:
    found = [
        DriftFinding("class shares", 0.5213, 0.1, STOP),
        DriftFinding("image size", 0.12, 0.1, WARN),
        DriftFinding("pixel mean", 3.41, 0.1, STOP),
    ]
    said = describe_findings(found, STOP)
    assert said == "pixel mean (PSI 3.41), class shares (PSI 0.52)"


def error(raw: dict[str, Any]) -> Optional[str]:
    with pytest.raises(ConfigError) as caught:
        config.config_from_mapping({"retrain": raw}, source="test")
    return str(caught.value)


def test_stop_below_warn_is_refused() -> None:
    assert error({"drift": {"warn": 0.3, "stop": 0.2}}) == (
        "test: 1 mistake\n  retrain.drift: stop 0.2 is below warn 0.3; warn comes first"
    )
