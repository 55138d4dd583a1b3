"""Pictures of rows from the shards of several folds, in the order of the rows."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import storage
from halftone.dataset import manifest
from halftone.label_errors import pictures
from halftone.label_errors.cross_validation import FoldScores
from halftone.label_errors.ranking import JUDGED


def opened(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_each_row_gets_the_picture_of_its_shard(
    spark: SparkSession, prepared_dataset: Path
) -> None:
    data = manifest.read_manifest(str(prepared_dataset))
    shards = [str(prepared_dataset / file.path) for file in manifest.read_shards("", data)]
    folds = [
        FoldScores(number, str(prepared_dataset), data, part, [], "")
        for number, part in enumerate((shards[:2], [], shards[2:]))
    ]
    places = [(2, 1, 5), (0, 1, 3), (2, 1, 0)]  # fold, shard of the fold, row
    rows = [
        (f"/images/{number}.png", "lying", "upright", 0.25, 0.75, -0.5, True, fold, shard, row)
        for number, (fold, shard, row) in enumerate(places)
    ]
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows), JUDGED)]
    images = pictures.read_pictures(spark, pa.table(columns, schema=JUDGED), folds)
    assert [image[:6] for image in images] == [
        (f"/images/{number}.png", "lying", "upright", 0.25, 0.75, True) for number in range(3)
    ]
    for image, (fold, shard, row) in zip(images, places):
        stored = storage.read_table(folds[fold].shards[shard])["image"][row].as_py()
        assert opened(image.shown.uri).tobytes() == stored
        assert (image.shown.width_px, image.shown.enlarged) == (128, True)
