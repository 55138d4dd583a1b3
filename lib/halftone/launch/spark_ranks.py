"""Start ranks in Spark's executors: a Spark job whose tasks all run at once, one rank each.

It is no barrier stage: Spark runs none with dynamic allocation, runs none of its tasks if there are
too few slots, so that the error could not tell how many there are, and does not cancel one that
waits for slots. The ranks wait for each other themselves, and are restarted together.

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

from pyspark.sql import SparkSession

from halftone.errors import RunError
from halftone.launch import rank, rendezvous, spark_task
from halftone.launch.connection import DriverAddress, SparkRank, accept_rank
from halftone.launch.driver_host import find_driver_host
from halftone.launch.signals import StopRequest
from halftone.spark.actions import parse_worker_error
from halftone.spark.background import BackgroundAction
from halftone.spark.frames import map_tables

_START_TIMEOUT_SECS = 600.0  # an executor may have to download and unpack its Python first
_END_TIMEOUT_SECS = 10.0
_POLL_INTERVAL_SECS = 0.2
# Environment variables that are forwarded from the driver; ranks inherit all others from Spark.
_FORWARDED_PREFIXES = ("HOROVOD_", "NCCL_", "TF_", "HALFTONE_LOG_")


@contextmanager
def start_spark_ranks(
    job: Mapping[str, Any], num_ranks: int, spark: SparkSession, stop_request: StopRequest
) -> Iterator[list[SparkRank]]:
    """Start the ranks and yield them, rank 0 first; kill those that still run at the end.

    Raises:
        RunError: Spark did not run all tasks at once in time, or a task failed to start its rank.
        StoppedError: a stop was requested before all ranks had started.
    """
    host, address = find_driver_host(spark)
    listener = socket.create_server((address, 0))
    driver = DriverAddress(host, listener.getsockname()[1], secrets.token_hex(16))
    spark_job = _start_tasks(spark, num_ranks, driver)
    started_secs = time.monotonic()
    with ExitStack() as stack:
        # Runs after the connections are closed, which ends the tasks.
        stack.callback(_wait_or_cancel, spark_job)
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
    spark_job: BackgroundAction[Any], num_connected: int, num_ranks: int, started_secs: float
) -> None:
    """Raise RunError if the Spark job has failed or the ranks take too long to start."""
    error = spark_job.error()
    if error is not None:
        raise RunError(f"the Spark job of the ranks failed: {parse_worker_error(error)}")
    if time.monotonic() > started_secs + _START_TIMEOUT_SECS:
        raise RunError(
            f"{num_connected} of {num_ranks} ranks have started after {_START_TIMEOUT_SECS:.0f} s; "
            "are Spark's slots taken by other jobs?"
        )


def _start_tasks(
    spark: SparkSession, num_ranks: int, driver: DriverAddress
) -> BackgroundAction[Any]:
    """Start a Spark job of `num_ranks` tasks, each of which runs a rank."""
    numbers = spark.range(0, num_ranks, 1, num_ranks)
    frame = map_tables(numbers, partial(spark_task.run_rank, driver), spark_task.NUMBERS)
    return BackgroundAction(spark, frame.collect, "training")


def _wait_or_cancel(spark_job: BackgroundAction[Any]) -> None:
    """Wait for the tasks to end; cancel the job if they do not end in time."""
    if not spark_job.wait(_END_TIMEOUT_SECS):
        spark_job.cancel()
        spark_job.wait(_END_TIMEOUT_SECS)
