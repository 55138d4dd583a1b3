"""Count rows by class and by image properties, to detect drift. Runs in Spark's Python workers.

Statistics of shards add up to those of a dataset, and most shards are the same in the next version.
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

# For each measure the number of rows in each of the BINS bins.
Histograms = dict[str, list[int]]


class ImageStatistics(NamedTuple):
    """Counts of a set of rows."""

    classes: dict[str, int]  # rows by label
    histograms: Histograms


EMPTY = ImageStatistics({}, {name: [0] * BINS for name in MEASURES})


def sum_statistics(parts: Iterable[ImageStatistics]) -> ImageStatistics:
    """Add statistics; their order does not matter."""
    classes: dict[str, int] = {}
    sums = {name: np.zeros(BINS, np.int64) for name in MEASURES}
    for part in parts:
        for label, count in part.classes.items():
            classes[label] = classes.get(label, 0) + count
        for name, counts in part.histograms.items():
            sums[name] += counts
    return ImageStatistics(
        dict(sorted(classes.items())), {name: counts.tolist() for name, counts in sums.items()}
    )


def count_shard(
    urls: Sequence[str], known_digests: Mapping[str, bytes], index: int
) -> tuple[ImageStatistics, ImageStatistics]:
    """Count all rows of the shard at `urls[index]`, and separately those that are new.

    Args:
        urls: URLs of shards.
        known_digests: source digests of the rows of removed shards, by key; other rows are new.
        index: which shard to count.

    Returns:
        Statistics of all rows and of new rows.
    """
    rows = storage.read_table(urls[index], _COLUMNS)
    keys, digests = rows[schema.KEY].to_pylist(), rows["source_digest"].to_pylist()
    is_new = np.array(
        [known_digests.get(key) != digest for key, digest in zip(keys, digests)], bool
    )
    labels = rows[schema.LABEL].to_pylist()
    ends, content = arrow.offsets_and_data(rows[schema.IMAGE])
    pixels = content.reshape(len(keys), int(ends[1]) if len(keys) else 0)
    moments = [_mean_and_deviation(row) for row in pixels]
    sides = [arrow.to_numpy(rows[f"source_{side}_px"]) for side in ("height", "width")]
    areas = sides[0].astype(np.float64) * sides[1]
    file_sizes = arrow.to_numpy(rows["source_bytes"]).astype(np.float64)
    values = [
        np.array([mean for mean, _ in moments]),
        np.array([deviation for _, deviation in moments]),
        np.log2(np.maximum(1.0, areas)),
        np.log2(np.maximum(1.0, file_sizes)),
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
    selected = [label for label, is_selected in zip(labels, mask) if is_selected]
    histograms = {
        name: np.histogram(np.clip(column[mask], low, high), BINS, (low, high))[0].tolist()
        for (name, (low, high)), column in zip(MEASURES.items(), values)
    }
    return ImageStatistics(
        {label: selected.count(label) for label in sorted(set(selected))}, histograms
    )
