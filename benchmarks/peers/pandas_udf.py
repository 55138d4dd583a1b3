"""A pandas UDF that loads the model for each batch, as in a first implementation.

spark-submit --master local[2] benchmarks/peers/pandas_udf.py NETWORK DATASET/SPLIT OUTPUT

All settings of Spark are defaults.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf


def main(network: str, rows: str, output: str) -> None:
    spark = SparkSession.builder.appName("pandas_udf").getOrCreate()

    @pandas_udf("array<float>")
    def predict(images: pd.Series) -> pd.Series:
        import tensorflow as tf

        model = tf.keras.models.load_model(network, compile=False)
        shape = model.input_shape[1:]
        pixels = np.stack([np.frombuffer(image, np.uint8).reshape(shape) for image in images])
        return pd.Series(list(model.predict(pixels, verbose=0)))

    images = spark.read.parquet(rows)
    images.select("key", "label", predict("image").alias("probability")).write.parquet(output)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
