"""Start ranks in Spark's executors: a Spark job whose tasks all run at once, one rank each.

A task connects to the driver and passes the connection to its rank as standard input and output.
So the driver treats these ranks like local ones, and a rank ends with its connection.

horovod.spark.run is not used: it kills the ranks on SIGTERM, leaves the other ranks waiting when
one is killed, and requires the network interface to have the same name on all machines.
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

_START_TIMEOUT_SECS = 600.0  # an executor may have to download and unpack its Python first
_END_TIMEOUT_SECS = 10.0
_POLL_INTERVAL_SECS = 0.2
# Environment variables that are forwarded from the driver; ranks inherit all others from Spark.
_FORWARDED_PREFIXES = ("HOROVOD_", "NCCL_", "TF_")


@contextmanager
def start_spark_ranks(
    job: Mapping[str, Any], num_ranks: int, spark: SparkSession, stop_request: StopRequest
) -> Iterator[list[SparkRank]]:
    """Start the ranks and yield them, rank 0 first; kill those that still run at the end.

    Raises:
        RunError: Spark did not run all tasks at once in time, or a task failed to start its rank.
        StoppedError: a stop was requested before all ranks had started.
    """
    conf = spark.sparkContext.getConf()
    host = str(conf.get("spark.driver.host"))
    address = str(conf.get("spark.driver.bindAddress", host))
    listener = socket.create_server((address, 0))
    driver = DriverAddress(host, listener.getsockname()[1], secrets.token_hex(16))
    spark_job = _SparkJob(spark, num_ranks, driver)
    started_secs = time.monotonic()
    with ExitStack() as stack:
        # Runs after the connections are closed, which ends the tasks.
        stack.callback(spark_job.wait_or_cancel)
        stack.enter_context(listener)
        connected: dict[int, SparkRank] = {}
        for spark_rank in _accept_ranks(listener, driver.token):
            if spark_rank is not None:
                stack.callback(spark_rank.close)
                # Ignore a second rank of the same task: Spark has retried the task.
                connected.setdefault(spark_rank.task_number, spark_rank)
            if len(connected) == num_ranks:
                break
            stop_request.raise_if_received()
            _check_startup(spark_job, len(connected), num_ranks, started_secs)
        # Horovod numbers the ranks host by host.
        ranks = sorted(connected.values(), key=lambda item: (item.host, item.task_number))
        slots: dict[str, int] = {}
        for spark_rank in ranks:
            slots[spark_rank.host] = slots.get(spark_rank.host, 0) + 1
        environments = stack.enter_context(rendezvous.start_rendezvous(slots, num_ranks, host))
        forwarded = {k: v for k, v in os.environ.items() if k.startswith(_FORWARDED_PREFIXES)}
        for spark_rank, environment in zip(ranks, environments):
            spark_rank.send_line(rank.encode_job(job, {**forwarded, **environment}))
        yield ranks


def _accept_ranks(listener: socket.socket, token: str) -> Iterator[Optional[SparkRank]]:
    """Yield the ranks as their tasks connect, and None every _POLL_INTERVAL_SECS without one."""
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
    """Raise RunError if the Spark job has failed or the ranks take too long to start."""
    if spark_job.error is not None:
        raise RunError(f"the Spark job of the ranks failed: {spark_job.error}")
    if time.monotonic() > started_secs + _START_TIMEOUT_SECS:
        raise RunError(
            f"{num_connected} of {num_ranks} ranks have started after {_START_TIMEOUT_SECS:.0f} s; "
            "are Spark's slots taken by other jobs?"
        )


class _SparkJob:
    """The Spark job whose tasks run the ranks, submitted from a thread."""

    def __init__(self, spark: SparkSession, num_ranks: int, driver: DriverAddress) -> None:
        self.error: Optional[str] = None
        self._context, self._num_ranks, self._driver = spark.sparkContext, num_ranks, driver
        self._group = f"halftone-{driver.port}"
        self._thread = InheritableThread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._context.setJobGroup(self._group, "training", interruptOnCancel=True)
            task_numbers = self._context.parallelize(range(self._num_ranks), self._num_ranks)
            task_numbers.mapPartitions(partial(spark_task.run_rank, self._driver)).collect()
        except Py4JJavaError as error:
            self.error = tasks.parse_worker_error(str(error.java_exception))
        except Exception as error:  # the JVM has exited, or the application is stopping
            self.error = f"{type(error).__name__}: {error}"

    def wait_or_cancel(self) -> None:
        """Wait for the tasks to end; cancel the job if they do not end in time."""
        self._thread.join(_END_TIMEOUT_SECS)
        if self._thread.is_alive():
            self._context.cancelJobGroup(self._group)
            self._thread.join(_END_TIMEOUT_SECS)
