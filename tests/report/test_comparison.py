"""Comparison of two runs: is it fair, and are differences more than chance?"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.metrics.model import SplitScores
from halftone.metrics.summarise import wilson_interval
from halftone.report.comparison import Baseline, compare_metrics, difference_interval
from report_pages import FACES, HUNDRED, TEN, changed, full_metrics, old_metrics, read, spread


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    for (right, rows), (other, others), low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
    ):
        now, before = right / rows, other / others
        interval = difference_interval(
            before, wilson_interval(other, others), now, wilson_interval(right, rows)
        )
        assert interval == pytest.approx((low, high), abs=5e-5)


shares = st.floats(0, 1)


@given(st.tuples(shares, shares, shares), st.tuples(shares, shares, shares))
def test_an_interval_holds_its_difference(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    low, before, high = sorted(first)
    least, now, most = sorted(second)
    below, above = difference_interval(before, (low, high), now, (least, most))
    assert below <= now - before <= above
    # Both the other way round.
    turned = difference_interval(now, (least, most), before, (low, high))
    assert turned == pytest.approx((-above, -below))
    # And never wider than the two intervals one after the other.
    assert above - below <= (high - low) + (most - least) + 1e-9


def test_95_percent_of_intervals_hold_the_true_difference() -> None:
    """About 95 % of the intervals of 2,000 pairs of samples hold the true difference."""
    rng = np.random.default_rng(3)
    rows, before, now = 300, 0.9, 0.93
    held = 0
    for other, right in rng.binomial(rows, (before, now), (2000, 2)).tolist():
        low, high = difference_interval(
            other / rows, wilson_interval(other, rows), right / rows, wilson_interval(right, rows)
        )
        held += low <= now - before <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.02)


def two(confusion: list[list[int]], **changes: Any) -> SplitScores:
    return old_metrics(confusion, FACES, **changes)


def table(page: Any, first: str) -> list[list[str]]:
    start = next(number for number, row in enumerate(page.rows) if row[0] == first and len(row) > 5)
    columns = len(page.rows[start])
    return list(itertools.takewhile(lambda row: len(row) == columns, page.rows[start:]))


def test_better_worse_and_within_chance() -> None:
    now = two(
        spread(2),
        intervals={"accuracy": [0.86, 0.93], "loss": [0.07, 0.09], "f1": None},
        loss=0.08,
        brier=0.10,
    )
    before = two(
        [[150, 50], [50, 150]],
        intervals={"accuracy": [0.70, 0.79], "loss": [0.08, 0.10], "f1": [0.7, 0.8]},
        loss=0.085,
        ece=0.02,
    )
    page = read(FACES, metrics=now, baseline=before, name="last week")
    assert "Comparison with last week" in page.words()
    assert (
        "Both were scored on the same 400 images of the test split: the comparison is fair."
        in page.words()
    )
    # By hand: 0.15 - sqrt(0.04^2 + 0.04^2), 0.15 + sqrt(0.03^2 + 0.05^2). Measures that only one
    # run has, such as the Brier score, are left out.
    assert table(page, "Measure")[:6] == [
        ["Measure", "Judgement", "last week", "This run", "Difference", "95% interval"],
        ["Accuracy", "better", "0.7500", "0.9000", "+0.1500", "+0.0934 to +0.2083"],
        ["Precision", "not known", "0.7500", "0.9000", "+0.1500", ""],
        ["Recall", "not known", "0.7500", "0.9000", "+0.1500", ""],
        ["F1", "not known", "0.7500", "0.9000", "+0.1500", ""],
        [
            *("Loss (cross-entropy, nats)", "within chance", "0.0850", "0.0800", "−0.0050"),
            "−0.0230 to +0.0062",
        ],
    ]
    back = read(FACES, metrics=before, baseline=now)
    assert table(back, "Measure")[1][1] == "worse"


def test_a_lower_loss_is_better() -> None:
    before = two(spread(2), intervals={"loss": [0.5, 0.6]}, loss=0.55)
    now = two(spread(2), intervals={"loss": [0.01, 0.02]}, loss=0.015)
    compared = compare_metrics(now, Baseline("old", before))
    assert compared is not None
    assert [change.judgement for change in compared["measures"] if "Loss" in change.title] == [
        "better"
    ]


def test_classes_that_got_better_or_worse() -> None:
    now = old_metrics([[90, 10, 0], [0, 60, 40], [0, 0, 100]], ["a", "b", "c"])
    before = old_metrics([[90, 10, 0], [0, 95, 5], [0, 40, 60]], ["a", "b", "c"])
    page = read(["a", "b", "c"], metrics=now, baseline=before)
    assert "F1 rose for 1 of 3 classes and fell for 1." in page.words()
    rows = table(page, "Class")
    assert [row[0] for row in rows] == ["Class", "b", "a", "c"]
    # F1 of b: 2 * 95 / (100 + 145), then 2 * 60 / (100 + 70). Of its recall, Wilson's intervals
    # are 0.8882 to 0.9785, then 0.5020 to 0.6906.
    assert rows[1] == [
        *("b", "0.7755", "0.7059", "−0.0696", "−0.3500", "−0.4520 to −0.2404", "worse"),
    ]
    assert rows[2][3:5] == ["0.0000", "0.0000"]
    assert rows[2][-1] == "within chance"
    assert rows[3][-1] == "better"


def test_a_class_without_rows_has_no_recall_to_compare() -> None:
    labels = ["a", "b", "c"]
    scores = old_metrics([[5, 0, 0], [0, 5, 0], [0, 0, 0]], labels)
    page = read(labels, metrics=scores, baseline=scores)
    row = next(row for row in table(page, "Class") if row[0] == "c")
    assert row[4:] == ["n/a", "", "not known"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "validation"}, "split test here, validation there"),
        (
            {"fingerprint": "other"},
            "dataset with the fingerprint d47f2ba86d75 here, other there",
        ),
        ({"rows": 380}, "400 images here, 380 there"),
        (
            {"threshold": {"value": 0.25, "rule": "0.25"}},
            "threshold 0.5000 here, 0.2500 there",
        ),
        ({"temperature": 1.5}, "temperature 1.0000 here, 1.5000 there"),
        ({"views": "flip"}, "views none here, flip there"),
    ],
)
def test_other_differences_between_the_runs_are_listed(changes: dict[str, Any], words: str) -> None:
    old = two(spread(2), **changes, model_version="another")
    page = read(FACES, baseline=old)
    assert f"The runs differ in more than the model: {words}." in page.words()
    assert "the comparison is fair" not in page.words()
    assert len(table(page, "Measure")) == 6


def test_other_classes_are_not_compared() -> None:
    other = old_metrics(spread(3), ["comics", "faces", "masks"])
    words = read(FACES, baseline=other).words()
    assert (
        "400 images here, 600 there; classes comics, faces here, comics, faces, masks there."
        in words
    )
    assert "The classes differ, so no measure can be compared." in words
    assert "Judgement" not in words


def test_a_baseline_of_the_same_model_is_reported() -> None:
    old = two(spread(2))
    assert "It is the same model, version f3549667dfd5a49a." in read(FACES, baseline=old).words()
    words = read(FACES, baseline=changed(old, temperature=1.5)).words()
    assert "The model is the same; the runs differ otherwise: temperature 1.0000 here" in words
    other = changed(old, model_version="another")
    assert "It is the same model" not in read(FACES, baseline=other).words()


@pytest.mark.parametrize("labels", [FACES, TEN, HUNDRED])
def test_an_older_metrics_json_can_be_compared_with(labels: list[str]) -> None:
    now = full_metrics(labels)
    old = old_metrics(now.confusion, labels)
    for compared in (
        compare_metrics(now, Baseline("old", old)),
        compare_metrics(old, Baseline("new", now)),
    ):
        assert compared is not None
        titles = [change.title for change in compared["measures"]]
        assert titles == ["Accuracy", "Precision", "Recall", "F1", "Loss (cross-entropy, nats)"]
        assert (compared["better"], compared["worse"]) == (0, 0)
        assert len(compared["classes"]) == len(labels)


def test_without_a_baseline_there_is_no_comparison() -> None:
    assert compare_metrics(two(spread(2)), None) is None
    assert "Comparison" not in read(FACES).text
