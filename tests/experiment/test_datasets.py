from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Callable

import pyarrow.parquet as pq
import pytest

from conftest import DrawImages
from halftone.config import Config, config_from_mapping
from halftone.errors import InputError
from halftone.experiment import datasets
from listed_images import list_images


def test_runs_share_a_dataset_if_the_settings_of_its_rows_are_equal(
    config: Callable[..., Config],
) -> None:
    paths = {"images": "in"}
    key = datasets.dataset_key(config(paths=paths))
    assert datasets.dataset_key(config(paths=paths, train={"epochs": 3}, name="b")) == key
    others = [
        config(paths=paths, seed=1),
        config(paths=paths, pixels={"height_px": 16}),
        config(paths=paths, splits={"test_fraction": 0.3}),
        config(paths=paths, preprocess={"near_duplicates": "drop"}),
        config(paths=paths, preprocess={"label_column": "breed"}),
        config(paths={"images": "elsewhere"}),
    ]
    assert len({key, *map(datasets.dataset_key, others)}) == 7


def test_a_setting_that_was_added_changes_no_key_by_its_default(
    config: Callable[..., Config],
) -> None:
    def key(**splits: str) -> str:
        return datasets.dataset_key(config(paths={"images": "/images"}, splits=splits))

    assert key() == key(stratify="auto") == "b196714beff57f48"
    assert key(stratify="never") != key()


def test_a_subset_is_balanced_and_does_not_change_with_new_images(
    tmp_path: Path, draw_images: DrawImages, config: Callable[..., Config]
) -> None:
    classes = ("a", "b", "c")
    images = draw_images(classes=classes, each=9)
    # A class that is stratified may have other splits in a subset.
    full = config(paths={"images": str(images)}, splits={"test_fraction": 0.5, "stratify": "never"})
    small = datasets.apply_subset(full, str(tmp_path / "out"), 14)
    table = small.preprocess.catalogue
    assert table == str(tmp_path / "out" / "subsets" / f"{datasets.dataset_key(full)}-14.parquet")
    chosen = pq.read_table(table)
    assert Counter(chosen["label"].to_pylist()) == {"a": 4, "b": 4, "c": 4}
    # Each image keeps its label and its split.
    all_entries = list_images(str(images), full).entries
    entries = list_images(str(images), small).entries
    assert len(entries) == 12
    assert all(entry in all_entries for entry in entries)
    draw_images(classes=classes, each=30, start=9)
    assert datasets.apply_subset(full, str(tmp_path / "out"), 14) == small
    assert pq.read_table(table) == chosen


@pytest.mark.parametrize("count", [1, 0, -4])
def test_a_subset_with_less_than_one_image_per_class_is_rejected(
    tmp_path: Path, draw_images: DrawImages, config: Callable[..., Config], count: int
) -> None:
    images = draw_images(each=2)
    with pytest.raises(InputError) as caught:
        datasets.apply_subset(config(paths={"images": str(images)}), str(tmp_path / "out"), count)
    assert str(caught.value) == (
        f"{images}: --subset {count} is less than one image for each of 2 classes; use 2 or more"
    )
    assert not (tmp_path / "out").exists()


def test_endings_that_were_added_to_the_default_leave_the_digest_as_it_was(
    config: Callable[..., Config],
) -> None:
    """The literal digests are those of the version before."""
    old = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif"]
    old += ["pbm", "pgm", "ppm", "pnm"]

    def key(**preprocess: object) -> str:
        values = {"paths": {"images": "s3://bucket/in"}, "preprocess": preprocess}
        return datasets.dataset_key(config_from_mapping(values, "test"))

    assert key() == "e9e38e6fb968c566"
    assert key(suffixes=["jpg"]) == "3fac26320d86f784"
    # The old default is no longer the default, and gives other rows.
    assert key(suffixes=old) not in (key(), key(suffixes=["jpg"]))
