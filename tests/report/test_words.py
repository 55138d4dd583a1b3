"""Formats of numbers and times."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import report
from halftone.report import words


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.00%"), (1e-5, "<0.01%"), (0.58461, "58.46%"), (0.99999, ">99.99%"), (1, "100.00%")],
)
def test_shares_in_percent(share: float, text: str) -> None:
    assert report.percent(share) == text


@given(st.floats(0, 1))
def test_only_1_and_0_are_shown_as_100_and_0_percent(share: float) -> None:
    assert (report.percent(share) == "100.00%") == (share == 1)
    assert (report.percent(share) == "0.00%") == (share == 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "+0.0123"),
        (-0.5, "−0.5000"),
        (0.0, "0.0000"),
        (-0.00004, "0.0000"),
        (None, "n/a"),
        (float("nan"), "n/a"),
    ],
)
def test_a_difference_has_a_sign_unless_it_rounds_to_0(value: Optional[float], text: str) -> None:
    assert words.signed_difference(value) == text


def test_a_missing_number_is_not_available() -> None:
    assert words.ratio(None) == "n/a"
    assert words.ratio(0.25) == "0.2500"


@pytest.mark.parametrize(
    ("given_time", "text"),
    [
        ("2024-05-04T12:20:30+02:00", "2024-05-04 10:20 UTC"),
        ("some day", "some day"),
    ],
)
def test_times_are_in_utc(given_time: str, text: str) -> None:
    assert words.utc_time(given_time) == text


@pytest.mark.parametrize(
    ("secs", "text"), [(12.34, "12.3 s"), (69.8, "1 min 10 s"), (3700, "1 h 1 min")]
)
def test_durations(secs: float, text: str) -> None:
    assert words.duration(secs) == text


def test_counts_and_sizes() -> None:
    assert words.image_count(1) == "1 image"
    assert words.image_count(4210) == "4,210 images"
    assert words.mebibytes(5 * 2**20) == "5.0 MiB"
    assert words.sort_by_count({"b": 1, "a": 1, "c": 5}) == [("c", 5), ("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    ("path", "folder", "text"),
    [
        ("/data/images/a/1.jpg", "/data/images", "a/1.jpg"),
        ("/data/images/a/1.jpg", "/data/images/", "a/1.jpg"),
        ("/data/images2/1.jpg", "/data/images", "/data/images2/1.jpg"),
    ],
)
def test_paths_are_below_the_folder_of_images(path: str, folder: str, text: str) -> None:
    assert words.relative_path(path, folder) == text
