"""What limits the use of a dataset and of metrics on it, as found in its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from halftone import printable
from halftone.dataset import remarks
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TEST, TRAIN, VALIDATION

# With 30 rows, the 95 % interval of a share of 0.9 is 0.22 wide (Wilson); with 400 rows, 0.06.
MIN_CLASS_ROWS = 30
MIN_TEST_ROWS = 400
CONFLICT = "conflict"  # the reason of a reject, see preprocess.entries
_MAX_NAMES = 10


def describe_limits(manifest: Manifest) -> list[str]:
    """Return sentences, in plain text, on what a user of the dataset should know."""
    return [
        *_describe_images(manifest),
        *_describe_size(manifest),
        *_describe_labels(manifest),
        *remarks.describe_splits(manifest),
        *_describe_near_duplicates(manifest),
        *remarks.describe_near_duplicates(manifest),
        *_describe_sources(manifest),
    ]


def describe_small_classes(rows: Mapping[str, int], split: str) -> list[str]:
    """Return a sentence that names the classes with few rows in a split, if there are any.

    Args:
        rows: by class. Classes without rows are left out: describe_splits names them.
    """
    small = {label: count for label, count in rows.items() if 0 < count < MIN_CLASS_ROWS}
    if not small:
        return []
    names = [f"{printable.escape(label)} ({count})" for label, count in sorted(small.items())]
    return [
        f"classes with fewer than {MIN_CLASS_ROWS} {split} rows, whose numbers depend on chance: "
        f"{_shorten(names)}"
    ]


def _describe_images(manifest: Manifest) -> list[str]:
    if not manifest.images_description:
        return []
    description = printable.escape_line(manifest.images_description)
    return [f"the images are {description}; numbers on them do not predict those on real images"]


def _describe_size(manifest: Manifest) -> list[str]:
    sentences = []
    num_test = sum(manifest.counts.get(TEST, {}).values())
    if 0 < num_test < MIN_TEST_ROWS:
        sentences.append(
            f"the test split has {num_test:,} rows: differences between models are hard to measure "
            f"with fewer than {MIN_TEST_ROWS}"
        )
    for split in (TRAIN, TEST):
        sentences += describe_small_classes(manifest.counts.get(split, {}), split)
    return sentences


def _describe_labels(manifest: Manifest) -> list[str]:
    num_conflicts = manifest.rejects_by_reason.get(CONFLICT, 0)
    if not num_conflicts:
        return []
    return [
        f"label conflicts: {num_conflicts:,} files have the same bytes as one with another label, "
        "and are rejected; the labels of other images may be as uncertain"
    ]


def _describe_near_duplicates(manifest: Manifest) -> list[str]:
    method = manifest.preprocess.near_duplicates
    if method == "off":
        return ["near duplicates were not looked for (preprocess.near_duplicates: off)"]
    if not manifest.near_duplicates or method == "drop":
        return []
    return [
        f"{manifest.near_duplicates:,} rows of the {VALIDATION} and {TEST} splits look nearly the "
        "same as a row of an earlier split and are kept: metrics on these splits may be too high"
    ]


def _describe_sources(manifest: Manifest) -> list[str]:
    sentences = []
    if manifest.gone:
        sentences.append(f"{manifest.gone:,} of the images no longer exist; their rows are kept")
    if manifest.ungrouped:
        sentences.append(
            f"{manifest.ungrouped:,} images have no group, so images that belong together may be "
            "in different splits"
        )
    return sentences


def _shorten(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")
