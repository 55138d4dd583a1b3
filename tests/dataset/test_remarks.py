from __future__ import annotations

from typing import Any

import pytest

from example_manifest import example
from halftone.config import SplitSettings
from halftone.dataset import remarks


def test_empty_splits_and_classes_without_rows_are_described() -> None:
    counts = {
        "train": {"cat": 5, "dog": 0, "fox": 0, "owl": 2, "elk": 0},
        "validation": {"cat": 0, "dog": 0, "fox": 0, "owl": 0, "elk": 0},
        "test": {"cat": 1, "dog": 1200, "fox": 0, "owl": 0, "elk": 3},
    }
    manifest = example().model_copy(update={"labels": list(counts["train"]), "counts": counts})
    assert remarks.describe_splits(manifest) == [
        "the validation split has no rows: add images, or change the settings of splits",
        "classes with no train rows, so a model cannot learn them: dog (1,200 in test), "
        "elk (3 in test)",
        "classes with no test rows, so they are not measured: owl",
        "classes with no rows at all, which --prune removes: fox",
    ]


def test_without_a_test_split_its_classes_are_not_named() -> None:
    labels = [f"c{number:02}" for number in range(12)]
    counts = {
        "train": {"cat": 1, **dict.fromkeys(labels, 0)},
        "validation": {"cat": 1, **dict.fromkeys(labels, 1)},
        "test": {"cat": 0, **dict.fromkeys(labels, 0)},
    }
    manifest = example().model_copy(update={"labels": ["cat", *labels], "counts": counts})
    names = ", ".join(f"{label} (1 in validation)" for label in labels[:10])
    assert remarks.describe_splits(manifest) == [
        "the test split has no rows: add images, or change the settings of splits",
        f"classes with no train rows, so a model cannot learn them: {names} and 2 more",
    ]


@pytest.mark.parametrize(
    ("settings", "used_columns", "text"),
    [
        ({}, None, "by a hash of the path"),
        ({"stratify": "never"}, ["label"], "by a hash of the path"),
        ({"group_by": "(.)"}, [], "by a hash of the group; classes are not stratified"),
        ({}, ["label", "group"], "by a hash of the group; classes are not stratified"),
        (
            {"folds": 5, "fold": 2},
            [],
            "by a hash of the path, validation is fold 2 of 5; classes are not stratified",
        ),
        ({}, ["split"], "predefined by the column split; classes are not stratified"),
        (
            {"from_path": "(.)", "group_by": "(.)"},
            [],
            "predefined by splits.from_path; classes are not stratified",
        ),
    ],
)
def test_the_way_to_the_splits_is_described(
    settings: dict[str, Any], used_columns: Any, text: str
) -> None:
    update = {"splits": SplitSettings(**settings), "used_columns": used_columns}
    manifest = example().model_copy(update=update)
    assert remarks.describe_split_method(manifest) == text


def test_stratified_classes_are_named_if_the_hash_was_not_good_enough_for_them() -> None:
    update = {"split_salts": {"dog": 3, "a class that has left": 4}}
    manifest = example().model_copy(update=update)
    assert remarks.describe_split_method(manifest) == (
        "by a hash of the path, stratified for 1 of 2 classes, which would have no train, "
        "validation or test images otherwise: dog"
    )
    manifest = manifest.model_copy(update={"splits": SplitSettings(stratify="always")})
    assert remarks.describe_split_method(manifest) == (
        "by a hash of the path, stratified for 1 of 2 classes"
    )


def test_stratified_classes_with_fewer_rows_than_splits_are_named() -> None:
    counts = {
        "train": {"cat": 1, "dog": 1, "elk": 1, "fox": 1, "owl": 0},
        "validation": {"cat": 0, "dog": 1, "elk": 0, "fox": 0, "owl": 0},
        "test": {"cat": 1, "dog": 1, "elk": 0, "fox": 1, "owl": 0},
    }
    update = {"counts": counts, "split_salts": dict.fromkeys(("cat", "dog", "elk", "owl"), 3)}
    manifest = example().model_copy(update=update)
    assert remarks.describe_small_classes(manifest) == [
        "stratified classes with fewer than 3 rows, of which train gets the first and test the "
        "second: cat, elk"
    ]
    two_splits = manifest.model_copy(update={"splits": SplitSettings(validation_fraction=0.0)})
    assert remarks.describe_small_classes(two_splits)[0].endswith(": elk")
    assert remarks.describe_small_classes(example()) == []


def test_a_hash_that_tells_images_apart_is_not_mentioned() -> None:
    for chance in (None, 0.0, 0.001):
        manifest = example().model_copy(update={"chance_near_fraction": chance})
        assert remarks.describe_near_duplicates(manifest) == []
