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


def image_statistics(classes: dict[str, int], **peaks: int) -> ImageStatistics:
    """Statistics of rows with these classes; each measure has all rows in four adjacent bins."""
    rows = sum(classes.values())
    histograms = {}
    for name in MEASURES:
        first_bin = peaks.get(name.replace(" ", "_"), 20)
        counts = [0] * BINS
        for offset in range(4):
            counts[first_bin + offset] = rows // 4
        histograms[name] = counts
    return ImageStatistics(classes, histograms)


BEFORE = image_statistics({"comic": 400, "photo": 400})


def levels(new: ImageStatistics, now: RejectCounts = NO_NEW, **settings: Any) -> dict[str, str]:
    findings = find_drift(BEFORE, new, SOME, now, DriftSettings(**settings))
    return {finding.what: finding.level for finding in findings if finding.level != OK}


def test_equal_distributions_are_no_drift() -> None:
    assert levels(image_statistics({"comic": 40, "photo": 40})) == {}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (image_statistics({"comic": 40, "photo": 40}, pixel_mean=50), "pixel mean"),
        (image_statistics({"comic": 40, "photo": 40}, pixel_deviation=5), "pixel deviation"),
        (image_statistics({"comic": 40, "photo": 40}, image_size=30), "image size"),
        (image_statistics({"comic": 40, "photo": 40}, file_size=30), "file size"),
        (image_statistics({"comic": 78, "photo": 2}), "class shares"),
    ],
)
def test_drift_of_each_measure_is_found(new: ImageStatistics, expected: str) -> None:
    assert levels(new) == {expected: STOP}


def test_share_of_rejects_is_that_of_new_images() -> None:
    same = image_statistics({"comic": 40, "photo": 40})
    assert levels(same, RejectCounts(100, 1)) == {}
    assert levels(same, RejectCounts(100, 60)) == {"share of rejects": STOP}
    assert levels(EMPTY, RejectCounts(40, 40)) == {"share of rejects": STOP}


def test_small_drift_warns() -> None:
    new = image_statistics({"comic": 560, "photo": 240})
    assert levels(new) == {"class shares": WARN}
    assert levels(new, stop=0.15) == {"class shares": STOP}
    assert levels(new, warn=0.2) == {}


def test_differences_by_chance_between_few_images_are_no_drift() -> None:
    assert levels(image_statistics({"comic": 4, "photo": 0})) == {}
    assert levels(image_statistics({"comic": 4, "photo": 0}), confidence=0.6) == {
        "class shares": STOP
    }


def test_nothing_is_compared_without_rows_before() -> None:
    assert find_drift(EMPTY, BEFORE, NO_NEW, RejectCounts(800, 0), DriftSettings()) == []
    assert find_new_classes(EMPTY, BEFORE) == []


def test_new_classes_are_named() -> None:
    new = image_statistics({"photo": 4, "sketch": 4, "etching": 4})
    assert find_new_classes(BEFORE, new) == ["etching", "sketch"]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(["ok", "warn", "ok"], "warn"), (["warn", "stop"], "stop"), (["ok"], "ok"), ([], "ok")],
)
def test_worst_level(levels: list[str], expected: str) -> None:
    assert worst_level([DriftFinding("x", 0.0, 0.0, level) for level in levels]) == expected


def test_largest_drift_is_described_first() -> None:
    findings = [
        DriftFinding("class shares", 0.5213, 0.1, STOP),
        DriftFinding("image size", 0.12, 0.1, WARN),
        DriftFinding("pixel mean", 3.41, 0.1, STOP),
    ]
    description = describe_findings(findings, STOP)
    assert description == "pixel mean (PSI 3.41), class shares (PSI 0.52)"


def error(raw: dict[str, Any]) -> Optional[str]:
    with pytest.raises(ConfigError) as caught:
        config.config_from_mapping({"retrain": raw}, source="test")
    return str(caught.value)


def test_stop_below_warn_is_refused() -> None:
    assert error({"drift": {"warn": 0.3, "stop": 0.2}}) == (
        "test: 1 mistake\n  retrain.drift: stop 0.2 is below warn 0.3; warn comes first"
    )
    assert error({"drift": {"embedding_warn": 0.8, "embedding_stop": 0.7}}) == (
        "test: 1 mistake\n  retrain.drift: embedding_stop 0.7 is below embedding_warn 0.8; "
        "embedding_warn comes first"
    )
