"""Starts Spark and stops it: with --packages, that fetches them."""

from pyspark.sql import SparkSession

SparkSession.builder.appName("nothing").getOrCreate().stop()
