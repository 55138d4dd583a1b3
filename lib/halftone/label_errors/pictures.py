"""Read the pictures of the most suspicious rows from the shards of the folds, in Spark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.stored_images import StoredImages
from halftone.label_errors.cross_validation import FoldScores
from halftone.label_errors.prediction_files import FOLD, SHARD
from halftone.label_errors.ranking import (
    IS_CONFIDENT,
    LABEL_PROBABILITY,
    ROW,
    SUGGESTED_PROBABILITY,
)
from halftone.listing import SUGGESTED_LABEL
from halftone.report.pictures import EmbeddedPicture, choose_max_side_px, embed_picture
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_frame, expand_rows

_REQUESTS = pa.schema(
    [
        pa.field("url", pa.string()),  # of a shard
        pa.field("rows", pa.list_(pa.int64())),  # in the shard
        pa.field("numbers", pa.list_(pa.int64())),  # of the pictures
    ]
)
_PICTURES = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("uri", pa.string()),
        pa.field("width_px", pa.int64()),
        pa.field("height_px", pa.int64()),
        pa.field("enlarged", pa.bool_()),
    ]
)


class SuspiciousImage(NamedTuple):
    """An image of the page."""

    key: str
    label: str
    suggested_label: str
    label_probability: float
    suggested_probability: float
    is_confident: bool
    shown: EmbeddedPicture


def read_pictures(
    spark: SparkSession, rows: pa.Table, folds: Sequence[FoldScores]
) -> list[SuspiciousImage]:
    """Return the rows with their pictures, in their order. Workers read and shrink the images.

    Args:
        rows: JUDGED, few of them.
        folds: all folds, in their order.
    """
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, (fold, shard, row) in enumerate(arrow.iter_rows(rows, FOLD, SHARD, ROW)):
        places[folds[fold].shards[shard]].append((row, number))
    requests = [(url, *map(list, zip(*of_shard))) for url, of_shard in places.items()]
    frame = create_frame(spark, build_table(requests, _REQUESTS), len(requests))
    spec = folds[0].data.pixels
    max_side_px = choose_max_side_px([np.zeros(spec.shape, np.uint8)] * rows.num_rows)
    pictures = expand_rows(frame, partial(_read_shard, spec, max_side_px), _PICTURES)
    progress = ActionProgress("label errors", "read the pictures of the page")
    shown = {number: EmbeddedPicture(*rest) for number, *rest in collect_rows(pictures, progress)}
    names = (schema.KEY, schema.LABEL, SUGGESTED_LABEL, LABEL_PROBABILITY)
    columns = (*names, SUGGESTED_PROBABILITY, IS_CONFIDENT)
    return [
        SuspiciousImage(*(*values, shown[number]))
        for number, values in enumerate(arrow.iter_rows(rows, *columns))
    ]


def _read_shard(
    spec: PixelSpec, max_side_px: int, url: str, rows: Sequence[int], numbers: Sequence[int]
) -> Iterator[pa.Table]:
    column = storage.read_table(url, [schema.IMAGE])[schema.IMAGE]
    pixels = StoredImages(column, spec, url).pixels(rows)
    shown = [(number, *embed_picture(image, max_side_px)) for number, image in zip(numbers, pixels)]
    yield build_table(shown, _PICTURES)
