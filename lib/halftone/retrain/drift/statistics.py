"""Count rows by class and by image properties, to detect drift. Runs in Spark's Python workers.

Statistics of shards add up to those of a dataset, and most shards are the same in the next version.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow, storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.stored_images import StoredImages
from halftone.retrain.drift.known_rows import ROW, SHARD, SHARD_ITSELF, URL

BINS = 64
MEASURES = {
    "pixel mean": (0.0, 256.0),  # grey levels, over all channels
    "pixel deviation": (0.0, 128.0),
    "image size": (0.0, 32.0),  # log2 of pixels
    "file size": (0.0, 32.0),  # log2 of bytes
}
_COLUMNS = [
    *(schema.LABEL, schema.IMAGE),
    *("source_height_px", "source_width_px", "source_bytes"),
]

# Statistics as JSON: of a shard, or under the number NEW_ROWS those of the new rows of a task. A
# shard also has the numbers of some of its new rows.
COUNTS = pa.schema(
    [
        pa.field(SHARD, pa.int64()),
        pa.field("statistics", pa.string()),
        pa.field("new_rows", pa.list_(pa.int64())),
    ]
)
NEW_ROWS = -1

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


def count_shards(
    pixels: PixelSpec, num_sampled: int, tables: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    """Count the rows of shards; yield tables of COUNTS.

    Args:
        pixels: how the dataset stores its images.
        num_sampled: of how many new rows of a shard the numbers are returned: the first ones, as
            the order of rows is random.
        tables: tables of known_rows.ROWS: shards, and which of their rows are not new.
    """
    urls: dict[int, str] = {}
    known: dict[int, list[int]] = defaultdict(list)
    for table in tables:
        for url, shard, row in arrow.iter_rows(table, URL, SHARD, ROW):
            if row == SHARD_ITSELF:
                urls[shard] = url
            else:
                known[shard].append(row)
    new = [EMPTY]
    for shard, url in urls.items():
        of_shard, new_of_shard = count_shard(pixels, url, known[shard])
        new.append(new_of_shard)
        yield _counts_table(shard, of_shard, _new_rows(of_shard, known[shard])[:num_sampled])
    yield _counts_table(NEW_ROWS, sum_statistics(new), [])


def _new_rows(of_shard: ImageStatistics, known: Sequence[int]) -> list[int]:
    return sorted(set(range(sum(of_shard.classes.values()))) - set(known))


def _counts_table(shard: int, counts: ImageStatistics, new_rows: Sequence[int]) -> pa.Table:
    values = (shard, json.dumps(counts._asdict()), new_rows)
    columns = [arrow.make_array([value], field.type) for value, field in zip(values, COUNTS)]
    return pa.table(columns, schema=COUNTS)


def count_shard(
    pixels: PixelSpec, url: str, known: Sequence[int]
) -> tuple[ImageStatistics, ImageStatistics]:
    """Count all rows of a shard, and separately those that are new.

    Args:
        pixels: how the dataset stores its images.
        known: the numbers of the rows that are not new.

    Returns:
        Statistics of all rows and of new rows.
    """
    rows = storage.read_table(url, _COLUMNS)
    is_new = np.ones(rows.num_rows, bool)
    is_new[np.asarray(known, np.int64)] = False
    labels = rows[schema.LABEL].to_pylist()
    images = StoredImages(rows[schema.IMAGE], pixels, url).pixels()
    moments = [_mean_and_deviation(image) for image in images.reshape(len(images), -1)]
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
        _count_selected(labels, values, np.ones(rows.num_rows, bool)),
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
