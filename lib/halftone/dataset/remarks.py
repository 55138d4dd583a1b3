"""What a user should know about a dataset besides its counts, in plain sentences.

The summary on the terminal and the report show the same sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from halftone import printable
from halftone.config import SplitSettings
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TEST, TRAIN

# The perceptual hash does not tell the images of a dataset apart if a larger share of random pairs
# of rows with different labels is within preprocess.near_distance. At 1 in 1,000, a row has a match
# by chance among 1,000 rows. Measured at the default distance: none of 1.8 million pairs of
# CIFAR-10's photographs, 8 % of drawn letters, 20 % of pages of text.
MAX_CHANCE_FRACTION = 0.001
_MAX_NAMES = 10
_NOT_STRATIFIED = "classes are not stratified"


def describe_split_method(manifest: Manifest) -> str:
    """Return `describe_method` of a dataset."""
    return describe_method(
        manifest.splits,
        manifest.used_columns or [],
        len(manifest.labels),
        [label for label in manifest.labels if label in manifest.split_salts],
    )


def describe_method(
    settings: SplitSettings,
    used_columns: Sequence[str],
    num_labels: int,
    stratified: Sequence[str],
) -> str:
    """Return which way images get their splits, as a phrase.

    Args:
        used_columns: of a table of images: those of label, group and split that decide.
        num_labels: number of classes.
        stratified: the labels of classes that are stratified.
    """
    if "split" in used_columns or settings.from_path is not None:
        source = "the column split" if "split" in used_columns else "splits.from_path"
        return f"predefined by {source}; {_NOT_STRATIFIED}"
    has_groups = "group" in used_columns or settings.group_by is not None
    method = f"by a hash of the {'group' if has_groups else 'path'}"
    if settings.folds is not None:
        return (
            f"{method}, validation is fold {settings.fold} of {settings.folds}; {_NOT_STRATIFIED}"
        )
    if has_groups:
        return f"{method}; {_NOT_STRATIFIED}"
    if not stratified:
        return method
    text = f"{method}, stratified for {len(stratified):,} of {num_labels:,} classes"
    if settings.stratify == "always":
        return text
    return (
        f"{text}, which would have no train, validation or test images otherwise: "
        f"{_shorten(stratified)}"
    )


def describe_small_classes(manifest: Manifest) -> list[str]:
    """Return a sentence on stratified classes that have fewer rows than there are splits."""
    settings = manifest.splits
    num_splits = 1 + (settings.validation_fraction > 0) + (settings.test_fraction > 0)
    small = [
        label
        for label in manifest.split_salts
        if 0 < sum(by_label.get(label, 0) for by_label in manifest.counts.values()) < num_splits
    ]
    if not small:
        return []
    return [
        f"stratified classes with fewer than {num_splits} rows, of which train gets the first and "
        f"test the second: {_shorten(small)}"
    ]


def describe_splits(manifest: Manifest) -> list[str]:
    """Return a sentence on each split without rows, and on classes that miss train or test rows."""
    counts = manifest.counts
    remarks = [
        f"the {split} split has no rows: add images, or change the settings of splits"
        for split, rows in counts.items()
        if not sum(rows.values())
    ]
    without_train, without_test = [], []
    for label in manifest.labels:
        rows = {split: by_label.get(label, 0) for split, by_label in counts.items()}
        places = ", ".join(f"{count:,} in {split}" for split, count in rows.items() if count)
        if places and not rows.get(TRAIN):
            without_train.append(f"{label} ({places})")
        elif places and not rows.get(TEST) and any(counts.get(TEST, {}).values()):
            without_test.append(label)
    for names, text in (
        (without_train, "no train rows, so a model cannot learn them"),
        (without_test, "no test rows, so they are not measured"),
        (manifest.empty_labels(), "no rows at all, which --prune removes"),
    ):
        if names:
            remarks.append(f"classes with {text}: {_shorten(names)}")
    return remarks


def describe_near_duplicates(manifest: Manifest) -> list[str]:
    """Return a sentence on possible label errors, and on a hash that does not tell images apart."""
    remarks = []
    if manifest.possible_label_errors:
        remarks.append(
            f"possible label errors: {manifest.possible_label_errors:,} of the near duplicates "
            "look like an image of another label; they are kept"
        )
    chance = manifest.chance_near_fraction
    if chance is not None and chance > MAX_CHANCE_FRACTION:
        remarks.append(describe_chance(chance, manifest.preprocess.near_distance))
    return remarks


def describe_chance(chance_fraction: float, near_distance: int) -> str:
    return (
        "the perceptual hash does not tell these images apart, so near duplicates may be none: "
        f"{chance_fraction:.1%} of random pairs of rows with different labels are within "
        f"preprocess.near_distance {near_distance}; {MAX_CHANCE_FRACTION:.1%} is the limit"
    )


def _shorten(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(map(printable.escape, names[:_MAX_NAMES])) + (
        f" and {more:,} more" if more > 0 else ""
    )
