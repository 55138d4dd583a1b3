"""Salts of classes: which classes get one, which it is, and that images keep their splits."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from example_manifest import example
from halftone import storage
from halftone.config import Config, SplitSettings
from halftone.dataset import splits
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError
from halftone.preprocess import stratify
from halftone.preprocess.assignment import ASSIGNED, AssignmentSummary
from halftone.preprocess.stratify import Fractions
from halftone.spark.frames import build_table
from listed_images import list_images

MakeConfig = Callable[..., Config]
TENTHS = Fractions(7, 0.1, 0.1)


def write_parts(folder: str, rows: Sequence[tuple[str, str]], num_parts: int) -> list[str]:
    """Write ASSIGNED of (path, label) into files; return their URLs."""
    urls = []
    for part in range(num_parts):
        values = [
            (path, label, -1, 0, 5, 0.0, 0, "", "", "") for path, label in rows[part::num_parts]
        ]
        urls.append(f"{folder}/part-{part}.parquet")
        storage.write_table(urls[-1], build_table(values, ASSIGNED))
    return urls


def images_of(sizes: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(f"{label}/{n}.jpg", label) for label, size in sizes.items() for n in range(size)]


def count(
    rows: Sequence[tuple[str, str]], salts: Mapping[str, int], fractions: Fractions
) -> dict[str, list[int]]:
    """Return by label the numbers of train, validation and test images."""
    drawn: Counter[tuple[str, str]] = Counter()
    seed, *others = fractions
    for path, label in rows:
        drawn[label, splits.split_by_salt(path, seed, salts[label], *others)] += 1
    return {label: [drawn[label, split] for split in SPLITS] for label in salts}


def test_counts_without_a_split_are_worse_than_those_far_from_the_fractions() -> None:
    counts = np.array([[1, 1], [0, 2], [2, 0], [0, 0], [5, 5], [4, 5]])
    missing, distance = stratify.rank_counts(10, counts, TENTHS)
    assert missing.tolist() == [0, 1, 2, 3, 4, 0]
    assert distance == pytest.approx([0, 2, 2, 6, 96, 74])
    missing, _ = stratify.rank_counts(10, counts, Fractions(7, 0.0, 0.1))
    assert missing.tolist() == [0, 0, 2, 2, 4, 0]


@pytest.mark.parametrize(
    ("validation", "test", "expected"),
    [(0.1, 0.1, [3, 1, 0, 0]), (0.1, 0.0, [1, 0, 0, 0]), (0.0, 0.1, [2, 0, 0, 0])],
)
def test_a_small_class_has_train_images_first_then_test_images(
    validation: float, test: float, expected: list[int]
) -> None:
    fractions = Fractions(0, validation, test)
    assert [fractions.least_missing(n) for n in range(1, 5)] == expected


def summary_of(**counts: tuple[int, int, int]) -> AssignmentSummary:
    """A summary of classes with numbers of train, validation and test images."""
    return AssignmentSummary(
        num_images=sum(map(sum, counts.values())),
        labels=Counter({label: sum(numbers) for label, numbers in counts.items()}),
        drawn_validation=Counter({label: numbers[1] for label, numbers in counts.items()}),
        drawn_test=Counter({label: numbers[2] for label, numbers in counts.items()}),
    )


CLASSES = summary_of(
    full=(8, 1, 1), few=(7, 2, 0), held=(0, 2, 1), two=(1, 0, 1), pair=(1, 1, 0), one=(0, 0, 1)
)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, ["few", "held", "one", "pair"]),
        ({"validation_fraction": 0.0}, ["few", "held", "one", "pair"]),
        ({"test_fraction": 0.0}, ["held", "one", "two"]),
        ({"test_fraction": 0.0, "validation_fraction": 0.0}, []),
        ({"stratify": "never"}, []),
        ({"stratify": "always"}, ["few", "full", "held", "one", "pair", "two"]),
        ({"group_by": "(.)"}, []),
        ({"from_path": "(.)"}, []),
        ({"folds": 3}, []),
    ],
)
def test_classes_that_the_hash_leaves_without_a_split_are_stratified(
    values: dict[str, Any], found: list[str]
) -> None:
    assert stratify.find_classes("/i", CLASSES, SplitSettings(**values)) == found


def test_classes_that_the_dataset_has_keep_their_splits() -> None:
    for method, found in (("auto", ["held", "one"]), ("always", ["full", "held", "one", "two"])):
        split_settings = SplitSettings.model_validate({"stratify": method})
        known = ["few", "pair", "gone"]
        assert stratify.find_classes("/i", CLASSES, split_settings, known) == found


@pytest.mark.parametrize(("name", "column"), [("split", "split"), ("group", "group")])
def test_classes_of_a_table_with_groups_or_splits_are_not_stratified(
    name: str, column: str
) -> None:
    summary = summary_of(few=(3, 0, 0))
    setattr(summary, f"num_{name}_cells", 1200)
    assert stratify.find_classes("/i", summary, SplitSettings()) == []
    with pytest.raises(InputError) as caught:
        stratify.find_classes("/i", summary, SplitSettings(stratify="always"))
    assert str(caught.value) == (
        f"/i: splits.stratify is always, and the column {column} of preprocess.catalogue has "
        "values for 1,200 images: only images that are drawn by themselves can be stratified; set "
        "splits.stratify: auto, or remove the column"
    )


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 80), min_size=1, max_size=4),
    st.integers(0, 1000),
    st.sampled_from([0.1, 0.2, 0.3]),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.integers(1, 4),
    st.randoms(),
)
def test_no_wanted_split_is_empty_and_counts_are_near_the_fractions(
    sizes: list[int],
    seed: int,
    validation: float,
    test: float,
    num_parts: int,
    shuffler: random.Random,
) -> None:
    fractions = Fractions(seed, validation, test)
    images = images_of({f"class {n}": size for n, size in enumerate(sizes)})
    labels = {label for _, label in images}
    with tempfile.TemporaryDirectory() as folder:
        salts = stratify.choose_salts(None, write_parts(folder, images, 1), labels, fractions)
        # The order of the images and the number of files decide nothing.
        shuffled = shuffler.sample(images, len(images))
        parts = write_parts(folder, shuffled, num_parts)
        assert stratify.choose_salts(None, parts, labels, fractions) == salts
    for counts, size in zip(count(images, salts, fractions).values(), sizes):
        num_wanted = 2 + (test > 0)
        if size < num_wanted:
            assert counts == ([1, 0, 1] if size == 2 else [1, 0, 0])
            continue
        for num, fraction, limit in zip(
            counts, (1 - validation - test, validation, test), (2, 1, 1)
        ):
            assert num >= (fraction > 0)
            assert num <= 1 or abs(num - fraction * size) < limit


def test_few_images_and_small_fractions_need_more_salts(tmp_path: Path) -> None:
    fractions = Fractions(7, 0.02, 0.01)
    images = images_of({"a": 3, "b": 4})
    parts = write_parts(str(tmp_path), images, 1)
    salts = stratify.choose_salts(None, parts, ["a", "b"], fractions)
    assert salts == {"a": 2629, "b": 355}
    assert count(images, salts, fractions) == {"a": [1, 1, 1], "b": [2, 1, 1]}


def test_splits_that_no_salt_fills_end_the_search(tmp_path: Path) -> None:
    fractions = Fractions(7, 0.1, 1e-9)
    images = images_of({"a": 4})
    salts = stratify.choose_salts(None, write_parts(str(tmp_path), images, 1), ["a"], fractions)
    assert count(images, salts, fractions) == {"a": [3, 1, 0]}


def test_workers_of_spark_choose_as_this_process(any_spark: SparkSession, tmp_path: Path) -> None:
    images = images_of({"a": 40, "b": 3, "ü": 9, "left out": 7})
    parts = write_parts(str(tmp_path), images, 3)
    salts = stratify.choose_salts(any_spark, parts, ["a", "b", "ü"], TENTHS)
    assert salts == {"a": 7, "b": 22, "ü": 1}
    assert stratify.choose_salts(None, parts, ["a", "b", "ü"], TENTHS) == salts


def touch(root: Path, **sizes: int) -> str:
    for path, _ in images_of(sizes):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"12345")
    return str(root)


def splits_of(root: str, config: Config, previous: Manifest | None = None) -> tuple[Any, ...]:
    """Return the split of each path, and the salts."""
    images = list_images(root, config, previous=previous)
    by_path = {row["path"]: SPLITS[row["split"]] for row in images.entries}
    return by_path, images.catalogue.final_splits.salts


@pytest.mark.parametrize(("size", "expected"), [(1, "t"), (2, "te"), (3, "tev")])
def test_a_class_of_one_to_three_images(
    tmp_path: Path, config: MakeConfig, size: int, expected: str
) -> None:
    root = touch(tmp_path, **dict.fromkeys("abcdefgh", size), large=300)
    by_path, salts = splits_of(root, config())
    assert "large" not in salts
    for label in "abcdefgh":
        names = {split for path, split in by_path.items() if path.startswith(f"{label}/")}
        wanted = dict(zip("tev", ("train", "test", "validation")))
        assert names == {wanted[letter] for letter in expected}


def test_only_classes_in_need_leave_the_hash(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, small=5, large=300)
    plain, none = splits_of(root, config(splits={"stratify": "never"}))
    by_path, salts = splits_of(root, config())
    assert (none, list(salts)) == ({}, ["small"])
    assert {p: s for p, s in by_path.items() if p.startswith("large/")} == {
        p: s for p, s in plain.items() if p.startswith("large/")
    }
    small = [split for path, split in plain.items() if path.startswith("small/")]
    assert Counter(small) == {"train": 4, "test": 1}
    assert Counter(s for p, s in by_path.items() if p.startswith("small/")) == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    everything = splits_of(root, config(splits={"stratify": "always"}))
    assert list(everything[1]) == ["large", "small"]
    assert Counter(s for p, s in everything[0].items() if p.startswith("large/")) == {
        "train": 240,
        "validation": 30,
        "test": 30,
    }


@pytest.mark.parametrize("method", ["auto", "always", "never"])
def test_images_keep_their_splits_when_others_arrive(
    tmp_path: Path, config: MakeConfig, method: str
) -> None:
    settings = config(splits={"stratify": method})
    root = touch(tmp_path, small=5, two=2, large=60)
    before, salts = splits_of(root, settings)
    manifest = example().model_copy(
        update={"labels": ["large", "small", "two"], "split_salts": salts}
    )
    touch(tmp_path, small=50, two=20, large=90, new=4)
    after, new_salts = splits_of(root, settings, manifest)
    assert {path: after[path] for path in before} == before
    assert {label: salt for label, salt in new_salts.items() if label != "new"} == salts
    assert ("new" in new_salts) == (method != "never")
    # A class without rows, such as one that was pruned, keeps its salt too.
    pruned = manifest.model_copy(update={"labels": ["large"]})
    again, _ = splits_of(root, settings, pruned)
    assert {path: again[path] for path in before if path[:5] != "two/"} == {
        path: split for path, split in before.items() if path[:5] != "two/"
    }


def test_groups_that_are_set_later_end_the_salts(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, small=5, large=60)
    _, salts = splits_of(root, config())
    manifest = example().model_copy(update={"labels": ["large", "small"], "split_salts": salts})
    by_path, none = splits_of(root, config(splits={"group_by": "(.*)"}), manifest)
    assert none == {}
    assert by_path == splits_of(root, config(splits={"stratify": "never"}))[0]


def test_the_digest_of_the_images_depends_on_the_salts(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, small=5, large=60)
    plain, stratified = (
        list_images(root, config(splits={"stratify": method})).catalogue
        for method in ("never", "auto")
    )
    assert plain.digest == f"{plain.summary.digest:032x}"
    assert plain.digest != stratified.digest
    assert plain.summary.digest == stratified.summary.digest
