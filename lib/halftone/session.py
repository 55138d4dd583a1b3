"""A SparkSession: borrowed where there is one, made and stopped where there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from halftone.config import Spark

# Ours where Spark runs inside this process; on a cluster spark-submit's settings stand.
_LOCAL_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "FATAL",  # what fails a job is said once, in our words
}
# Images travel in few rows of many bytes: Spark's default of 10,000 rows could pass 2 GiB.
_DEFAULTS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "128",
    "spark.ui.showConsoleProgress": "false",  # ours counts images
    "spark.log.level": "ERROR",
}
# A task that dies with its Python worker is tried again, as on a cluster.
_LOCAL_MASTER = "local[*, 4]"


@contextmanager
def spark_session(name: str, settings: Spark) -> Iterator[SparkSession]:
    """Yield the active session, or one of our own that is stopped at the end."""
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    session = _start(name, settings)
    try:
        yield session
    finally:
        session.stop()


def _start(name: str, settings: Spark) -> SparkSession:
    # Under spark-submit the gateway is there already, and with it the master that was asked for.
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    builder = SparkSession.builder.appName(name)
    if not submitted:
        builder = builder.master(settings.master or _LOCAL_MASTER)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    local = not submitted and (settings.master or _LOCAL_MASTER).startswith("local")
    if local:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    for key, value in {**_DEFAULTS, **(_LOCAL_DEFAULTS if local else {}), **settings.conf}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def num_cores(session: SparkSession) -> int:
    """Number of tasks that run at once, as far as Spark says."""
    return max(1, session.sparkContext.defaultParallelism)
