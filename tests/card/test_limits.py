"""What the numbers of a dataset say about its limits."""

from __future__ import annotations

from typing import Any

import pytest

import example_manifest
from halftone.card import limits
from halftone.config import PreprocessSettings
from halftone.dataset.manifest import Manifest
from halftone.preprocess import entries

LARGE = {split: {"cat": 500, "dog": 500} for split in ("train", "validation", "test")}


def with_values(**changes: Any) -> Manifest:
    return example_manifest.example().model_copy(update={"counts": LARGE, **changes})


def test_a_large_dataset_has_none() -> None:
    assert limits.describe_limits(with_values()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"images_description": "synthetic: drawn"},
            "the images are synthetic: drawn; numbers on them do not predict those on real images",
        ),
        (
            {"counts": {**LARGE, "test": {"cat": 199, "dog": 200}}},
            "the test split has 399 rows: differences between models are hard to measure with "
            "fewer than 400",
        ),
        (
            {"counts": {**LARGE, "train": {"cat": 29, "dog": 30}}},
            "classes with fewer than 30 train rows, whose numbers depend on chance: cat (29)",
        ),
        (
            {"rejects_by_reason": {"conflict": 1200}},
            "label conflicts: 1,200 files have the same bytes as one with another label, and are "
            "rejected; the labels of other images may be as uncertain",
        ),
        (
            {"near_duplicates": 7},
            "7 rows of the validation and test splits look nearly the same as a row of an earlier "
            "split and are kept: metrics on these splits may be too high",
        ),
        (
            {"preprocess": PreprocessSettings(near_duplicates="off")},
            "near duplicates were not looked for (preprocess.near_duplicates: off)",
        ),
        ({"gone": 3}, "3 of the images no longer exist; their rows are kept"),
        (
            {"ungrouped": 2},
            "2 images have no group, so images that belong together may be in different splits",
        ),
        (
            {"counts": {**LARGE, "train": {"cat": 500, "dog": 0}}},
            "classes with no train rows, so a model cannot learn them: dog (500 in validation, "
            "500 in test)",
        ),
    ],
)
def test_a_limit(changes: dict[str, Any], sentence: str) -> None:
    assert limits.describe_limits(with_values(**changes)) == [sentence]


def test_near_duplicates_that_were_dropped_are_no_limit() -> None:
    dropped = with_values(near_duplicates=7, preprocess=PreprocessSettings(near_duplicates="drop"))
    assert limits.describe_limits(dropped) == []


def test_names_of_many_small_classes_are_cut() -> None:
    (sentence,) = limits.describe_small_classes({f"c{i:02d}": 1 for i in range(12)}, "test")
    assert sentence.endswith("c08 (1), c09 (1) and 2 more")


def test_the_reason_of_a_conflict_is_that_of_preprocessing() -> None:
    assert limits.CONFLICT == entries.CONFLICT
