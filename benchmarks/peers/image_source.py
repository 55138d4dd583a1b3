"""Spark's `image` source, which decodes in the JVM, and a udf that resizes.

spark-submit --master local[2] benchmarks/peers/image_source.py IMAGES OUTPUT COUNT [SIZE_PX]

It is very slow, so it reads only the first COUNT images.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import cv2
import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType


def main(images: str, output: str, count: str, size_px: str = "64") -> None:
    paths = sorted(
        os.path.join(parent, name)
        for parent, _, names in os.walk(images, followlinks=True)
        for name in names
    )[: int(count)]
    side_px = int(size_px)

    def resize(image: Any) -> bytes:
        # Channels in OpenCV's order: blue, green, red.
        shape = (image.height, image.width, image.nChannels)
        pixels = np.frombuffer(image.data, np.uint8).reshape(shape)
        if image.nChannels > 1:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        return cv2.resize(pixels, (side_px, side_px), interpolation=cv2.INTER_AREA).tobytes()

    spark = SparkSession.builder.appName("image source").getOrCreate()
    rows = spark.read.format("image").load(paths)
    resized = rows.select("image.origin", F.udf(resize, BinaryType())("image").alias("image"))
    resized.write.parquet(output)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
