"""A SparkSession: borrowed where there is one, made and stopped where there is none."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from halftone.config import SparkSettings
from halftone.spark import class_archive
from halftone.spark.slots import wait_and_count_slots
from halftone.storage import clients

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
_stop_thread: Optional[threading.Thread] = None
# A task that dies with its Python worker is tried again, as on a cluster.
_DEFAULT_MASTER = "local[*, 4]"


@contextmanager
def spark_session(name: str, settings: SparkSettings) -> Iterator[SparkSession]:
    """Yield the active session, or one of our own that is stopped at the end."""
    if _stop_thread is not None:
        _stop_thread.join()
    given = find_active_session()
    session = given or _start_session(name, settings)
    # Of the Python workers, wherever they run.
    session.sparkContext.environment.update(clients.client_environment())
    if given is not None:
        yield given
        return
    try:
        yield session
    finally:
        _stop_session(session)


def find_active_session() -> Optional[SparkSession]:
    """The session that someone else made, and will stop; None where there is none."""
    # Spark calls one active in the thread alone that made it.
    return SparkSession.getActiveSession() or SparkSession._instantiatedSession


def _start_session(name: str, settings: SparkSettings) -> SparkSession:
    given = submitted_conf()
    master = str(given.get("spark.master")) if given else settings.master or _DEFAULT_MASTER
    local = _LOCAL_DEFAULTS if is_local_master(master) else {}
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if local:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        # spark-env.sh, which build.sh writes, sets the same for spark-submit.
        os.environ.setdefault("SPARK_SUBMIT_OPTS", class_archive.jvm_options())
    builder = SparkSession.builder.master(master).appName(name)
    for key, value in {**_DEFAULTS, **local, **settings.conf}.items():
        if given is None or not given.contains(key):
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    if local:
        # Spark would describe every RDD in JSON for its user interface, which is not there; to
        # load the classes for that takes longer than a small job's other work for the JVM.
        session.sparkContext.setLocalProperty("spark.rdd.scope.noOverride", "true")
    return session


def _stop_session(session: SparkSession) -> None:
    """Stop Spark, and do not wait for the second that PySpark's accumulator server takes to end."""
    global _stop_thread
    _stop_thread = threading.Thread(target=session.stop, daemon=True)
    _stop_thread.start()
    # PySpark forgets the JVM's context when that has stopped, and then ends the server.
    while _stop_thread.is_alive() and session.sparkContext._jsc is not None:
        _stop_thread.join(timeout=0.01)


def is_spark_submitted() -> bool:
    """Whether spark-submit started this process."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def submitted_conf() -> Optional[SparkConf]:
    """What spark-submit was told; None where it did not start this process."""
    if not is_spark_submitted():
        return None
    # Until PySpark is connected to its JVM, a SparkConf is empty.
    SparkContext._ensure_initialized()
    return SparkConf()


def is_local_master(master: str) -> bool:
    """Whether Spark's tasks run on this machine, in the driver's own process."""
    return master.startswith("local") and not master.startswith("local-cluster")


def num_cores(session: SparkSession) -> int:
    """Number of tasks that run at once."""
    return max(1, wait_and_count_slots(session))
