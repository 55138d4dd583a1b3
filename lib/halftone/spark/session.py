"""The SparkSession of a job: the active one, or a new one that the job stops at its end.

The session is a classic one, whose JVM is a child of this process, or one of Spark Connect.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Callable, Optional

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from halftone.config import SparkSettings
from halftone.errors import InputError
from halftone.spark import class_archive, connect, connect_workers, installation
from halftone.spark.settings import is_local_master
from halftone.spark.slots import wait_and_count_slots
from halftone.system import job_process
from halftone.system.parent_watch import is_spark_submitted
from halftone.system.thread_call import call_in_thread

# Defaults if Spark runs on this machine; on a cluster the settings of spark-submit apply.
_LOCAL_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
_DEFAULTS = {
    "spark.ui.showConsoleProgress": "false",  # Halftone's own progress line counts images
}
# The setting spark.log.level would do the same, but Spark prints a line about it.
_LOG_LEVEL, _LOCAL_LOG_LEVEL = "ERROR", "FATAL"  # Halftone prints the error of a failed job itself
# Stops the last session that was started here.
_stop_thread: Optional[threading.Thread] = None
# A task whose Python worker dies is tried up to four times, as on a cluster.
_DEFAULT_MASTER = "local[*, 4]"
_START_END_SECS = 1.0


@contextmanager
def spark_session(name: str, settings: SparkSettings) -> Iterator[SparkSession]:
    """Yield the active session, or start one and stop it at the end.

    Args:
        name: application name of a session that is started.
        settings: section `spark` of the config; settings of spark-submit take precedence.

    Raises:
        InputError: the Spark Connect server of spark.remote or SPARK_REMOTE cannot be used, or
            there is no Java or Spark here that can.
    """
    if _stop_thread is not None:
        _stop_thread.join()
    active = find_active_session()
    session = active or _start_session(name, settings)
    try:
        yield prepare_session(session)
    finally:
        # After a signal the end of the job ends the JVM.
        if active is None and job_process.received_signal() is None:
            _stop_session(session)


@contextmanager
def session_on_demand(name: str, settings: SparkSettings) -> Iterator[Callable[[], SparkSession]]:
    """Yield a function whose first call enters `spark_session`; each call returns that session."""
    with ExitStack() as stack:
        yield cache(partial(stack.enter_context, spark_session(name, settings)))


def prepare_session(session: SparkSession) -> SparkSession:
    """Return a session, of whatever kind, whose workers have the package `halftone`.

    Raises:
        InputError: the workers of a Spark Connect server cannot be used.
    """
    if connect.is_connect(session):
        connect_workers.prepare_workers(session)
    return session


def find_active_session() -> Optional[SparkSession]:
    """Return the session that somebody else started and will stop, or None."""
    # getActiveSession() knows a session only in the thread that started it.
    return (
        connect.find_connect_session()
        or SparkSession.getActiveSession()
        or SparkSession._instantiatedSession
    )


def _start_session(name: str, settings: SparkSettings) -> SparkSession:
    url = connect.server_url(settings.remote)
    if url is not None:
        return connect.start_connect_session(url, name, settings.conf)
    submitted = submitted_conf()
    if submitted is None:
        installation.prepare_start()
    master = str(submitted.get("spark.master")) if submitted else settings.master or _DEFAULT_MASTER
    local = _LOCAL_DEFAULTS if is_local_master(master) else {}
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if local:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        # spark-env.sh, which build.sh writes, sets the same for spark-submit.
        os.environ.setdefault("SPARK_SUBMIT_OPTS", class_archive.jvm_options())
    builder = SparkSession.builder.master(master).appName(name)
    for key, value in {**_DEFAULTS, **local, **settings.conf}.items():
        if submitted is None or not submitted.contains(key):
            builder = builder.config(key, value)
    session = _get_or_create(builder)
    context = SparkContext.getOrCreate()
    if not context.getConf().contains("spark.log.level"):
        context.setLogLevel(_LOCAL_LOG_LEVEL if local else _LOG_LEVEL)
    return session


def _get_or_create(builder: SparkSession.Builder) -> SparkSession:
    """Return the session of a builder, which another thread starts.

    Raises:
        InputError: a setting of Spark is wrong, or Java is.

    In the main thread PySpark would handle Ctrl-C by a call to the JVM from within the call that
    was interrupted, and an interruption of the JVM's start would leave the JVM running.
    """

    def start() -> SparkSession:
        session = builder.getOrCreate()
        _ = session.conf  # makes the session's state, which refuses wrong settings of SQL
        return session

    future = call_in_thread(start)
    try:
        return future.result()
    except (Py4JError, PySparkException, ValueError) as error:
        raise InputError(
            f"Spark does not start: {_describe_start_error(error)}; correct spark.master or "
            "spark.conf"
        ) from error
    except KeyboardInterrupt:
        if job_process.received_signal() is not None:
            job_process.end_children()
            wait([future], _START_END_SECS)  # PySpark removes its temporary folder
        raise


def _describe_start_error(error: Exception) -> str:
    if isinstance(error, PySparkException) and error.getErrorClass() == "JAVA_GATEWAY_EXITED":
        return "its JVM has ended, for the reason above"
    while isinstance(cause := getattr(error, "cause", None), Exception):
        error = cause
    text = str(error.java_exception if isinstance(error, Py4JJavaError) else error)
    return connect.first_line(Exception(text.split("Exception: ", 1)[-1]))


def _stop_session(session: SparkSession) -> None:
    """Stop Spark without waiting a second for PySpark's accumulator server to end."""
    global _stop_thread
    if connect.is_connect(session):
        connect.stop_connect_session(session)
        return
    context = SparkContext.getOrCreate()
    _stop_thread = threading.Thread(target=session.stop, daemon=True)
    _stop_thread.start()
    while _stop_thread.is_alive() and not _has_stopped(context):
        _stop_thread.join(timeout=0.01)


def _has_stopped(context: SparkContext) -> bool:
    """Return whether the JVM's context has stopped; PySpark then ends its accumulator server."""
    try:
        return context.startTime is None
    except (AttributeError, Py4JError):  # PySpark no longer has the JVM's context
        return True


def submitted_conf() -> Optional[SparkConf]:
    """Return the configuration of spark-submit; None if it did not start this process."""
    if not is_spark_submitted():
        return None
    # A SparkConf is empty until PySpark is connected to its JVM.
    SparkContext._ensure_initialized()
    return SparkConf()


def num_cores(session: SparkSession) -> int:
    """Return the number of tasks that run at once."""
    return max(1, wait_and_count_slots(session))
