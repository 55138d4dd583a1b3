"""Counts of the dataset that was scored."""

from __future__ import annotations

from typing import Any

from halftone.dataset import remarks, splits
from halftone.dataset.manifest import Manifest
from halftone.report.words import sort_by_count


def summarise_counts(manifest: Manifest) -> dict[str, Any]:
    """Return rows by class and split, rejects by reason, and the size of all files."""
    names = [name for name in splits.SPLITS if name in manifest.counts]
    table = [
        (label, [manifest.counts[name].get(label, 0) for name in names])
        for label in manifest.labels
    ]
    return {
        "splits": names,
        "table": table,
        "totals": [sum(manifest.counts[name].values()) for name in names],
        "remarks": [
            *remarks.describe_near_duplicates(manifest),
            *remarks.describe_splits(manifest),
        ],
        "rejects": sort_by_count(manifest.rejects_by_reason),
        "ignored": sort_by_count(manifest.ignored),
        "size_bytes": manifest.size_bytes(),
    }
