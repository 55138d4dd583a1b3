from __future__ import annotations

from pyspark.sql import SparkSession

from halftone.spark.settings import (
    describe_spark,
    has_dynamic_allocation,
    is_local_spark,
    spark_setting,
)


def test_settings_of_spark_on_this_machine(spark: SparkSession) -> None:
    assert spark_setting(spark, "spark.app.name") == "tests"
    assert spark_setting(spark, "spark.no.such.setting") == ""
    assert describe_spark(spark) == "local[2, 4]"
    assert is_local_spark(spark)
    assert not has_dynamic_allocation(spark)
