"""Spark's `binaryFile` source and mapInPandas, as in Spark's documentation.

spark-submit --master local[2] benchmarks/peers/binaryfile.py IMAGES OUTPUT COUNT [SIZE_PX]

All settings are defaults. IMAGES may be an s3a:// URL. COUNT is ignored; it exists for a common
command line of the peers. All images of the folder are read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd
from pyspark.sql import SparkSession


def _resize(content: bytes, size_px: int) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(pixels, (size_px, size_px), interpolation=cv2.INTER_AREA).tobytes()


def main(images: str, output: str, count: str, size_px: str = "64") -> None:
    side_px = int(size_px)

    def resize_batches(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            rows = [_resize(content, side_px) for content in batch["content"]]
            yield pd.DataFrame({"path": batch["path"], "image": rows})

    spark = SparkSession.builder.appName("binaryFile").getOrCreate()
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(images)
    resized = files.select("path", "content").mapInPandas(
        resize_batches, "path string, image binary"
    )
    resized.write.parquet(output)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
