"""Start and stop Spark, which fetches the packages of --packages."""

from pyspark.sql import SparkSession

SparkSession.builder.appName("nothing").getOrCreate().stop()
