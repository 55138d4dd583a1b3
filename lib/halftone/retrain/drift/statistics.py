"""What is counted of images to see whether they drift. Runs in Spark's Python workers.

Counts of shards add up, so what a dataset's rows are like follows from its shards, of which most
stand from one version to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from halftone import arrow, storage
from halftone.dataset import schema

BINS = 64
MEASURES = {
    "pixel mean": (0.0, 256.0),  # grey levels, over all channels
    "pixel deviation": (0.0, 128.0),
    "image size": (0.0, 32.0),  # log2 of pixels
    "file size": (0.0, 32.0),  # log2 of bytes
}
_COLUMNS = [
    *(schema.KEY, schema.LABEL, schema.IMAGE),
    *("source_height_px", "source_width_px", "source_bytes", "source_digest"),
]

# Rows by bin of each measure; BINS long each.
Histograms = dict[str, list[int]]


class ImageStatistics(NamedTuple):
    """Of some rows."""

    classes: dict[str, int]  # rows by label
    histograms: Histograms


EMPTY = ImageStatistics({}, {name: [0] * BINS for name in MEASURES})


def sum_statistics(parts: Iterable[ImageStatistics]) -> ImageStatistics:
    """Add up; the order makes no difference."""
    classes: dict[str, int] = {}
    sums = {name: np.zeros(BINS, np.int64) for name in MEASURES}
    for part in parts:
        for label, count in part.classes.items():
            classes[label] = classes.get(label, 0) + count
        for name, counts in part.histograms.items():
            sums[name] += counts
    return ImageStatistics(
        dict(sorted(classes.items())), {name: own.tolist() for name, own in sums.items()}
    )


def count_shard(
    urls: Sequence[str], known_digests: Mapping[str, bytes], index: int
) -> tuple[ImageStatistics, ImageStatistics]:
    """Count all rows of the shard at `urls[number]`, and those of them that are new.

    Args:
        known: digests of what was in shards that are gone, by key; other rows are new.
    """
    rows = storage.read_table(urls[index], _COLUMNS)
    keys, digests = rows[schema.KEY].to_pylist(), rows["source_digest"].to_pylist()
    is_new = np.array([known_digests.get(key) != own for key, own in zip(keys, digests)], bool)
    labels = rows[schema.LABEL].to_pylist()
    ends, content = arrow.offsets_and_data(rows[schema.IMAGE])
    pixels = content.reshape(len(keys), int(ends[1]) if len(keys) else 0)
    pairs = [_mean_and_deviation(row) for row in pixels]
    sides = [arrow.to_numpy(rows[f"source_{side}_px"]) for side in ("height", "width")]
    areas = sides[0].astype(np.float64) * sides[1]
    bytes_ = arrow.to_numpy(rows["source_bytes"]).astype(np.float64)
    values = [
        np.array([pair[0] for pair in pairs]),
        np.array([pair[1] for pair in pairs]),
        np.log2(np.maximum(1.0, areas)),
        np.log2(np.maximum(1.0, bytes_)),
    ]
    return (
        _count_selected(labels, values, np.ones(len(keys), bool)),
        _count_selected(labels, values, is_new),
    )


def _mean_and_deviation(row: npt.NDArray[np.uint8]) -> tuple[float, float]:
    return float(row.mean()), float(row.std(dtype=np.float32))


def _count_selected(
    labels: Sequence[str], values: Sequence[npt.NDArray[np.float64]], mask: npt.NDArray[np.bool_]
) -> ImageStatistics:
    chosen = [label for label, is_chosen in zip(labels, mask) if is_chosen]
    histograms = {
        name: np.histogram(np.clip(own[mask], low, high), BINS, (low, high))[0].tolist()
        for (name, (low, high)), own in zip(MEASURES.items(), values)
    }
    return ImageStatistics(
        {label: chosen.count(label) for label in sorted(set(chosen))}, histograms
    )
