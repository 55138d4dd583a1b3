"""Ranks in Spark's executors: a Spark job whose tasks start one rank each, all at once.

A task connects to the driver and gives that connection to its rank as input and output, so that a
rank here is to the driver what it is elsewhere, and ends with the connection.

Not horovod.spark.run: it takes SIGTERM for itself and kills the ranks, leaves the others waiting
when one is killed, and wants one name for the network interface of all machines.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Optional

from py4j.protocol import Py4JJavaError
from pyspark import InheritableThread
from pyspark.sql import SparkSession

from halftone.errors import RunError
from halftone.launch import rank, rendezvous, spark_task
from halftone.launch.connection import DriverAddress, SparkRank, accept_rank
from halftone.launch.signals import StopRequest
from halftone.spark import tasks

_START_TIMEOUT_SECS = 600.0  # an executor may have to fetch and unpack its Python first
_END_TIMEOUT_SECS = 10.0
_POLL_INTERVAL_SECS = 0.2
# Settings in the driver's environment that ranks get too; all others are their machine's own.
_FORWARDED_PREFIXES = ("HOROVOD_", "NCCL_", "TF_")


@contextmanager
def start_spark_ranks(
    job: Mapping[str, Any], num_ranks: int, spark: SparkSession, stop_request: StopRequest
) -> Iterator[list[SparkRank]]:
    """Start the ranks; yield them from rank 0 on. Those that still run at the end are killed.

    Raises:
        RunError: Spark did not run all tasks at once in time, or one failed to start.
        StoppedError: it was asked for before all had started.
    """
    conf = spark.sparkContext.getConf()
    host = str(conf.get("spark.driver.host"))
    address = str(conf.get("spark.driver.bindAddress", host))
    listener = socket.create_server((address, 0))
    driver = DriverAddress(host, listener.getsockname()[1], secrets.token_hex(16))
    spark_job = _SparkJob(spark, num_ranks, driver)
    started_secs = time.monotonic()
    with ExitStack() as stack:
        stack.callback(
            spark_job.wait_or_cancel
        )  # after the connections, as its tasks end with them
        stack.enter_context(listener)
        connected: dict[int, SparkRank] = {}
        for task in _accept_ranks(listener, driver.token):
            if task is not None:
                stack.callback(task.close)
                # A second one of a number is Spark's second try: it is left waiting.
                connected.setdefault(task.task_number, task)
            if len(connected) == num_ranks:
                break
            stop_request.raise_if_received()
            _check_startup(spark_job, len(connected), num_ranks, started_secs)
        # Horovod counts the ranks of a host from 0, one after the other.
        found = sorted(connected.values(), key=lambda task: (task.host, task.task_number))
        slots: dict[str, int] = {}
        for task in found:
            slots[task.host] = slots.get(task.host, 0) + 1
        places = stack.enter_context(rendezvous.start_rendezvous(slots, num_ranks, host))
        passed_on = {k: v for k, v in os.environ.items() if k.startswith(_FORWARDED_PREFIXES)}
        for task, place in zip(found, places):
            task.send_line(rank.encode_job(job, {**passed_on, **place}))
        yield found


def _accept_ranks(listener: socket.socket, token: str) -> Iterator[Optional[SparkRank]]:
    """Yield the tasks as they connect, and now and then None."""
    listener.settimeout(_POLL_INTERVAL_SECS)
    while True:
        try:
            connection, _ = listener.accept()
        except socket.timeout:
            yield None
        else:
            yield accept_rank(connection, token)


def _check_startup(
    spark_job: _SparkJob, num_connected: int, num_ranks: int, started_secs: float
) -> None:
    """Raise RunError where not all tasks will come."""
    if spark_job.error is not None:
        raise RunError(f"the Spark job of the ranks failed: {spark_job.error}")
    if time.monotonic() > started_secs + _START_TIMEOUT_SECS:
        raise RunError(
            f"{num_connected} of {num_ranks} ranks have started after {_START_TIMEOUT_SECS:.0f} s; are Spark's "
            "slots taken by other jobs?"
        )


class _SparkJob:
    """The job whose tasks are the ranks, run by a thread."""

    def __init__(self, spark: SparkSession, num_ranks: int, driver: DriverAddress) -> None:
        self.error: Optional[str] = None
        self._context, self._num_ranks, self._driver = spark.sparkContext, num_ranks, driver
        self._group = f"halftone-{driver.port}"
        self._thread = InheritableThread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._context.setJobGroup(self._group, "training", interruptOnCancel=True)
            numbers = self._context.parallelize(range(self._num_ranks), self._num_ranks)
            numbers.mapPartitions(partial(spark_task.run_rank, self._driver)).collect()
        except Py4JJavaError as error:
            self.error = tasks.parse_worker_error(str(error.java_exception))
        except Exception as error:  # the JVM is gone, or the application at its end
            self.error = f"{type(error).__name__}: {error}"

    def wait_or_cancel(self) -> None:
        """Wait for the tasks to end; have Spark end those that do not."""
        self._thread.join(_END_TIMEOUT_SECS)
        if self._thread.is_alive():
            self._context.cancelJobGroup(self._group)
            self._thread.join(_END_TIMEOUT_SECS)
