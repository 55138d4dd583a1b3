"""Refuse a version with too many rejects, too many dropped near duplicates, or too few classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from halftone.config import PreprocessSettings
from halftone.dataset import remarks
from halftone.dataset.splits import TRAIN
from halftone.errors import InputError, RunError
from halftone.preprocess.side_tables import SideTable

# Rows by split and label.
Counts = dict[str, dict[str, int]]


def count_rows(counts: Counts) -> int:
    return sum(sum(by_label.values()) for by_label in counts.values())


def check_sum(
    root: str, num_inputs: int, counts: Counts, num_rejects: int, num_duplicates: int
) -> None:
    """Raise RunError if an input is missing from the outcome, which is a bug."""
    rows = count_rows(counts)
    found = rows + num_rejects + num_duplicates
    if found != num_inputs:
        raise RunError(
            f"{root}: {num_inputs} inputs, but {rows} rows + {num_rejects} rejects + "
            f"{num_duplicates} duplicates = {found}; nothing was published. Remove the dataset's "
            "_staging folder and run again"
        )


def check_rejects(
    root: str, num_inputs: int, rejects: SideTable, max_reject_fraction: float
) -> None:
    """Raise InputError if there are too many rejects."""
    if rejects.num_rows <= max_reject_fraction * num_inputs:
        return
    by_reason = dict(rejects.num_by_reason.most_common())
    reasons = ", ".join(f"{count} {reason}" for reason, count in by_reason.items())
    first = rejects.first
    raise InputError(
        f"{root}: {rejects.num_rows} of {num_inputs} images are rejected "
        f"({rejects.num_rows / num_inputs:.1%}: {reasons}), preprocess.max_reject_fraction is "
        f"{max_reject_fraction:g}; nothing was published. The first: {first.path}: "
        f"{first.reason}, {first.detail}. {_reject_cures(list(by_reason))}. Or raise "
        "preprocess.max_reject_fraction"
    )


_COPY_AGAIN = "copy the files again from their source"
_REJECT_CURES = {
    "empty": _COPY_AGAIN,
    "truncated": _COPY_AGAIN,
    "damaged": _COPY_AGAIN,
    "not_an_image": "remove these files, or leave their ending out of preprocess.suffixes",
    "unsupported": "install the package that the detail names, and run with --retry-rejects; or "
    "save the images in another format, such as PNG",
    "too_large": "raise pixels.max_pixels or pixels.max_scans",
    "too_small": "lower pixels.min_side_px",
    "box_outside": "correct the boxes in the table: they are in px of the upright image",
    "unreadable": "check that the files exist and may be read",
    "unlabelled": "correct preprocess.label_from or the labels in the table",
    "conflict": "keep each image under one label",
}


def _reject_cures(reasons: Sequence[str]) -> str:
    """Name each cure once, with its reasons."""
    by_cure: dict[str, list[str]] = {}
    for reason in reasons:
        by_cure.setdefault(_REJECT_CURES.get(reason, "repair the images"), []).append(reason)
    return "; ".join(f"{', '.join(names)}: {cure}" for cure, names in by_cure.items())


def check_dropped(
    root: str,
    counts: Counts,
    num_dropped: Counter[str],
    chance_fraction: float,
    settings: PreprocessSettings,
) -> None:
    """Raise InputError if too many near duplicates would be dropped from a split.

    Args:
        num_dropped: by split.
        chance_fraction: see near_duplicates.measure_chance.
    """
    for split, dropped in num_dropped.items():
        num_rows = sum(counts[split].values()) + dropped
        limit = settings.max_near_duplicate_fraction
        if dropped <= limit * num_rows:
            continue
        cause = "Look at them with preprocess.near_duplicates: report. If they show one scene"
        cure = "keep it in one split with splits.group_by"
        if chance_fraction > remarks.MAX_CHANCE_FRACTION:
            description = remarks.describe_chance(chance_fraction, settings.near_distance)
            cause = f"{description[0].upper()}{description[1:]}. So"
            cure = "set preprocess.near_duplicates: report, or a smaller preprocess.near_distance"
        raise InputError(
            f"{root}: preprocess.near_duplicates: drop would remove {dropped} of {num_rows} "
            f"{split} rows ({dropped / num_rows:.1%}), "
            f"preprocess.max_near_duplicate_fraction is {limit:g}; nothing was published. "
            f"{cause}, {cure}. Or raise the limit"
        )


def check_classes(root: str, num_inputs: int, counts: Counts) -> None:
    """Raise InputError if the train split has fewer than two classes."""
    train_labels = [label for label, num_rows in counts[TRAIN].items() if num_rows]
    if len(train_labels) < 2:
        raise InputError(
            f"{root}: {count_rows(counts)} of {num_inputs} images are left, and the train split "
            f"has {len(train_labels)} class{'' if len(train_labels) == 1 else 'es'} "
            f"({', '.join(train_labels) or 'none'}); training needs 2 or more. Add images, or "
            "change the fractions of the splits"
        )
