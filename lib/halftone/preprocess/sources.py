"""Where labels, groups and splits come from, and what follows if a dataset's sources change."""

from __future__ import annotations

from typing import Optional

from halftone.config import PreprocessSettings, SplitSettings
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.listing import GROUP
from halftone.preprocess.delta import Delta

LABELS = "labels"


def describe_sources(
    preprocess: PreprocessSettings, splits: SplitSettings, used_columns: Optional[list[str]]
) -> dict[str, str]:
    """Return the source of `labels`, `groups` and `splits`.

    Args:
        used_columns: of the table `preprocess.catalogue`: those of label, group and split that
            decide; None if this is not known, which gives an empty dict.
    """
    if used_columns is None:
        return {}
    sources = {
        LABELS: (schema.LABEL, f"preprocess.label_from {preprocess.label_from!r}"),
        "groups": (GROUP, f"splits.group_by {splits.group_by!r}"),
        "splits": (schema.SPLIT, f"splits.from_path {splits.from_path!r}"),
    }
    titles = {schema.LABEL: preprocess.label_column or schema.LABEL}
    return {
        what: f"column {titles.get(column, column)} of preprocess.catalogue"
        if column in used_columns
        else pattern
        for what, (column, pattern) in sources.items()
    }


def manifest_sources(manifest: Manifest) -> dict[str, str]:
    """Return `describe_sources` of a dataset."""
    used_columns = manifest.used_columns
    if manifest.preprocess.catalogue is None:
        used_columns = []
    return describe_sources(manifest.preprocess, manifest.splits, used_columns)


def find_changed_sources(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Return what comes from another source; nothing if the old sources are not known."""
    return [what for what in new if what in old and old[what] != new[what]]


def check_changed_sources(
    dataset: str, old: dict[str, str], new: dict[str, str], delta: Delta, retry_rejects: bool
) -> None:
    """Check that no image keeps what it has from an old source.

    Args:
        retry_rejects: whether only rejected images are read again.

    Raises:
        InputError: rows with old and with new labels, groups or splits would be mixed.
    """
    changed = find_changed_sources(old, new)
    if not changed:
        return
    difference = "; ".join(
        f"{what} were from {old[what]}, are now from {new[what]}" for what in changed
    )
    if retry_rejects:
        raise InputError(
            f"{dataset}: {difference}. --retry-rejects would change rejected images alone; run "
            "once without it"
        )
    if delta.num_missing_labelled:
        raise InputError(
            f"{dataset}: {difference}. {delta.num_missing_labelled:,} images of the dataset are no "
            f"longer listed, such as {delta.missing_example}, and would keep the old ones: "
            "--prune removes them from the dataset; or give another --output"
        )
