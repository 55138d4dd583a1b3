"""Sources of labels, groups and splits that change between two runs."""

from __future__ import annotations

import pytest

from example_manifest import example
from halftone.config import PreprocessSettings, SplitSettings
from halftone.errors import InputError
from halftone.preprocess import sources
from halftone.preprocess.delta import Delta

BY_PATH = sources.describe_sources(PreprocessSettings(), SplitSettings(), [])
BY_TABLE = sources.describe_sources(PreprocessSettings(), SplitSettings(), ["label", "split"])
# Two rows or duplicates are no longer listed, and a reject.
MISSING = Delta(num_missing=3, num_missing_labelled=2, missing_example="/i/row")
NO_LABEL = Delta(num_missing=1)  # a reject


def check(
    old: dict[str, str], new: dict[str, str], delta: Delta, *, retry_rejects: bool = False
) -> None:
    sources.check_changed_sources("/out", old, new, delta, retry_rejects)


def test_the_sources_of_labels_groups_and_splits() -> None:
    assert BY_PATH == {
        "labels": r"preprocess.label_from '([^/]+)/[^/]+$'",
        "groups": "splits.group_by None",
        "splits": "splits.from_path None",
    }
    assert BY_TABLE == {
        "labels": "column label of preprocess.catalogue",
        "groups": "splits.group_by None",
        "splits": "column split of preprocess.catalogue",
    }
    with_name = PreprocessSettings(label_column="breed")
    by_name = sources.describe_sources(with_name, SplitSettings(), ["label", "split"])
    assert by_name == {**BY_TABLE, "labels": "column breed of preprocess.catalogue"}
    assert sources.find_changed_sources(BY_TABLE, by_name) == ["labels"]
    assert sources.find_changed_sources(BY_PATH, BY_TABLE) == ["labels", "splits"]
    assert sources.find_changed_sources(BY_PATH, BY_PATH) == []


def test_another_pattern_for_labels_matters_only_if_labels_come_from_the_path() -> None:
    settings = PreprocessSettings(label_from="^(.)")
    for columns, changed in (([], ["labels"]), (["label"], [])):
        old = sources.describe_sources(PreprocessSettings(), SplitSettings(), columns)
        new = sources.describe_sources(settings, SplitSettings(), columns)
        assert sources.find_changed_sources(old, new) == changed


def test_sources_of_an_older_dataset_with_a_table_are_not_known() -> None:
    assert sources.manifest_sources(example()) == BY_PATH
    with_table = PreprocessSettings(catalogue="list.csv")
    data = example().model_copy(update={"preprocess": with_table})
    assert sources.manifest_sources(data) == {}
    assert sources.find_changed_sources({}, BY_PATH) == []
    data = data.model_copy(update={"used_columns": ["label", "split"]})
    assert sources.manifest_sources(data) == BY_TABLE


def test_images_that_would_keep_old_labels_are_an_error() -> None:
    check(BY_PATH, BY_TABLE, Delta())
    check(BY_PATH, BY_TABLE, NO_LABEL)
    check(BY_PATH, BY_PATH, MISSING)
    difference = (
        r"labels were from preprocess.label_from '([^/]+)/[^/]+$', are now from column label of "
        "preprocess.catalogue; splits were from splits.from_path None, are now from column split "
        "of preprocess.catalogue"
    )
    with pytest.raises(InputError) as caught:
        check(BY_PATH, BY_TABLE, MISSING)
    assert str(caught.value) == (
        f"/out: {difference}. 2 images of the dataset are no longer listed, such as /i/row, and "
        "would keep the old ones: --prune removes them from the dataset; or give another --output"
    )
    with pytest.raises(InputError) as caught:
        check(BY_PATH, BY_TABLE, Delta(), retry_rejects=True)
    assert str(caught.value) == (
        f"/out: {difference}. --retry-rejects would change rejected images alone; run once "
        "without it"
    )
