"""A SparkSession: borrowed where there is one, made and stopped where there is none."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from pyspark import SparkConf
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
# The last session of our own while it ends.
_stopping: Optional[threading.Thread] = None
# A task that dies with its Python worker is tried again, as on a cluster.
_LOCAL_MASTER = "local[*, 4]"


@contextmanager
def spark_session(name: str, settings: Spark) -> Iterator[SparkSession]:
    """Yield the active session, or one of our own that is stopped at the end."""
    if _stopping is not None:
        _stopping.join()
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    session = _start(name, settings)
    try:
        yield session
    finally:
        _stop(session)


def _start(name: str, settings: Spark) -> SparkSession:
    builder = SparkSession.builder.appName(name)
    if is_submitted():
        # The gateway is there already, and with it the master that was asked for.
        master = str(SparkConf().get("spark.master"))
    else:
        master = settings.master or _LOCAL_MASTER
        builder = builder.master(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    local = _LOCAL_DEFAULTS if is_local(master) else {}
    if local:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    for key, value in {**_DEFAULTS, **local, **settings.conf}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _stop(session: SparkSession) -> None:
    """Stop Spark, and do not wait for the second that PySpark's accumulator server takes to end."""
    global _stopping
    _stopping = threading.Thread(target=session.stop, daemon=True)
    _stopping.start()
    # PySpark forgets the JVM's context when that has stopped, and then ends the server.
    while _stopping.is_alive() and session.sparkContext._jsc is not None:
        _stopping.join(timeout=0.01)


def is_submitted() -> bool:
    """Whether spark-submit started this process."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def is_local(master: str) -> bool:
    """Whether Spark's tasks run on this machine, in the driver's own process."""
    return master.startswith("local") and not master.startswith("local-cluster")


def num_cores(session: SparkSession) -> int:
    """Number of tasks that run at once, as far as Spark says."""
    return max(1, session.sparkContext.defaultParallelism)
