from __future__ import annotations

from example_manifest import example
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


def test_a_hash_that_tells_images_apart_is_not_mentioned() -> None:
    for chance in (None, 0.0, 0.001):
        manifest = example().model_copy(update={"chance_near_fraction": chance})
        assert remarks.describe_near_duplicates(manifest) == []
