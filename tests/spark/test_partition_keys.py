from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from halftone.spark import partition_keys as module
from halftone.spark.partition_keys import partition_keys


def test_the_hash_is_that_of_spark(spark: SparkSession) -> None:
    values = [0, 1, 2, 1000, 2**31 - 1]
    rows = spark.createDataFrame([(value,) for value in values], "value int")
    assert [row.hash for row in rows.select(F.hash("value").alias("hash")).collect()] == [
        module._hash_int(value) for value in values
    ]


def test_each_partition_gets_one_key(spark: SparkSession) -> None:
    keys = partition_keys(5)
    rows = spark.createDataFrame([(key,) for key in keys], "key int").repartition(5, "key")
    placed = rows.select("key", F.spark_partition_id().alias("partition")).collect()
    assert {row.partition: row.key for row in placed} == dict(enumerate(keys))


@pytest.mark.parametrize("count", [1, 2, 75, 1000])
def test_keys_are_unique_ints(count: int) -> None:
    keys = partition_keys(count)
    assert len(set(keys)) == count
    assert 0 <= min(keys) <= max(keys) < 2**31
