"""The address of this process for Spark's executors."""

from __future__ import annotations

from typing import Any, cast

from pyspark.sql import SparkSession

from halftone.spark.connect import is_connect
from halftone.spark.settings import spark_setting
from halftone.system import interfaces

_ALL_INTERFACES = "0.0.0.0"


def find_driver_host(spark: SparkSession) -> tuple[str, str]:
    """Return the host by which executors reach this process, and the address to listen on.

    With Spark Connect this machine need not be that of Spark's driver; its executors must be able
    to open connections to it.

    Raises:
        InputError: there is no route to the server of Spark Connect.
    """
    drivers_host = spark_setting(spark, "spark.driver.host")
    if not is_connect(spark):
        return drivers_host, spark_setting(spark, "spark.driver.bindAddress") or drivers_host
    server = str(cast(Any, spark).client.host)
    if drivers_host and interfaces.is_this_machine(server):
        return drivers_host, _ALL_INTERFACES
    return interfaces.find_interface_toward(server)[1], _ALL_INTERFACES
