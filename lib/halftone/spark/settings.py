"""Settings of a Spark session, and where its tasks run."""

from __future__ import annotations

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from halftone.spark.connect import is_connect


def spark_setting(session: SparkSession, name: str, default: str = "") -> str:
    """Return a setting; `default` if it is not set, or the session does not show it."""
    try:
        return session.conf.get(name, None) or default
    except PySparkException:  # serverless compute
        return default


def has_dynamic_allocation(session: SparkSession) -> bool:
    """Return whether Spark starts executors when there are tasks: no barrier stage can run then."""
    return spark_setting(session, "spark.dynamicAllocation.enabled") == "true"


def describe_spark(session: SparkSession) -> str:
    """Return the master, such as `local[4]`; of Spark Connect, also that it is a server's."""
    master = spark_setting(session, "spark.master")
    if not is_connect(session):
        return master
    return f"Spark Connect, {master}" if master else "Spark Connect"


def is_local_master(master: str) -> bool:
    """Return whether Spark's tasks run on this machine, in the JVM of the driver."""
    return master.startswith("local") and not master.startswith("local-cluster")


def is_local_spark(session: SparkSession) -> bool:
    """Return whether Spark's tasks run on this machine.

    A server of Spark Connect may be on another machine, whatever its master.
    """
    return not is_connect(session) and is_local_master(spark_setting(session, "spark.master"))
