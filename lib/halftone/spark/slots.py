"""Count the task slots of Spark: how many tasks, and so ranks of a training, can run at once.

Spark tells programs of any kind of session how many cores its executors have together: it is the
default parallelism, into which `SparkSession.range` divides its rows. A setting
spark.default.parallelism replaces that number, and is then taken for it. Slots follow from the
cores and GPUs of an executor and of a task.

On a cluster the default parallelism is 2 until the third core has registered. So a job of one row
is run first, which waits for an executor, and a job of two tasks tells whether there are one core
or two. Measured with Spark 3.5 on a standalone cluster of one and of two workers with a core each,
and on two executors with three cores and two GPUs each (tests/spark/test_slots.py).
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import wait

import pyarrow as pa
from pyspark import InheritableThread, SparkContext
from pyspark.sql import Row, SparkSession

from halftone.errors import InputError
from halftone.spark.connect import is_connect
from halftone.spark.frames import build_table, map_tables
from halftone.spark.settings import has_dynamic_allocation, is_local_master, spark_setting
from halftone.system.thread_call import call_in_thread

_logger = logging.getLogger(__name__)

# Executors of a cluster register some seconds after the driver, and not all at once.
_MAX_WAIT_SECS = 60.0
_SETTLE_SECS = 3.0
_POLL_SECS = 0.5
# More rows than a cluster has cores, in a job that takes no time.
_NUM_ROWS = 1 << 20
_TASK = pa.schema(
    [
        pa.field("executor", pa.string()),
        pa.field("started", pa.float64()),
        pa.field("ended", pa.float64()),
    ]
)
_TASK_SECS = 0.3
# Results of `wait_and_count_slots`, by session.
_slots_by_session: dict[str, int] = {}
_sessions_with_executors: set[str] = set()


def wait_for_slots(session: SparkSession, num_slots: int) -> None:
    """Wait until Spark has `num_slots` slots.

    Raises:
        InputError: there are still too few after a minute.
    """
    if has_dynamic_allocation(session):
        return  # Spark starts executors when there are tasks
    is_local = is_local_master(_master(session))
    has_executor = is_local or _wait_for_executor(session)
    deadline = time.monotonic() + (0.0 if is_local else _MAX_WAIT_SECS)
    last_printed = -1
    while (available := count_slots(session) if has_executor else 0) < num_slots:
        if time.monotonic() > deadline or not has_executor:
            raise InputError(_too_few_slots_message(session, available, num_slots))
        if available != last_printed:
            _logger.info("waiting for executors: %d of %d slots", available, num_slots)
            last_printed = available
        time.sleep(_POLL_SECS)


def wait_and_count_slots(session: SparkSession) -> int:
    """Wait until all executors have registered, and return how many tasks run at once.

    Returns 0 if no executor registers within a minute.
    """
    key = _session_key(session)
    if not _slots_by_session.get(key):
        _slots_by_session[key] = _wait_until_stable(session)
    return _slots_by_session[key]


def _wait_until_stable(session: SparkSession) -> int:
    if is_local_master(_master(session)):
        return count_slots(session)
    if has_dynamic_allocation(session):
        # Spark starts executors when there are tasks, up to a maximum.
        executor_cores = int(spark_setting(session, "spark.executor.cores", "1"))
        slots_per_executor = executor_cores // int(spark_setting(session, "spark.task.cpus", "1"))
        max_executors = int(spark_setting(session, "spark.dynamicAllocation.maxExecutors", "0"))
        return max(_default_parallelism(session), max_executors * slots_per_executor)
    if not _wait_for_executor(session):
        return 0
    # A server of Spark Connect has been running for some time.
    cores, changed_at = _default_parallelism(session), time.monotonic()
    while not is_connect(session) and time.monotonic() < changed_at + _SETTLE_SECS:
        time.sleep(_POLL_SECS)
        if (current := _default_parallelism(session)) != cores:
            cores, changed_at = current, time.monotonic()
    if (slots := count_slots(session)) == 1:
        # The second core does not change the default parallelism.
        time.sleep(_SETTLE_SECS)
        slots = count_slots(session)
    return slots


def count_slots(session: SparkSession) -> int:
    """Return how many tasks run at once on the executors that have registered."""
    cores = _count_cores(session)
    task_cpus = int(spark_setting(session, "spark.task.cpus", "1"))
    task_gpus = float(spark_setting(session, "spark.task.resource.gpu.amount", "0"))
    if is_local_master(_master(session)) or (task_cpus == 1 and not task_gpus):
        return cores // task_cpus
    executor_cores = _executor_cores(session) or max(1, cores // _count_executors(session, cores))
    slots_per_executor = executor_cores // task_cpus
    if task_gpus:
        executor_gpus = float(spark_setting(session, "spark.executor.resource.gpu.amount", "0"))
        slots_per_executor = min(slots_per_executor, int(executor_gpus / task_gpus))
    return cores // executor_cores * slots_per_executor


def _count_cores(session: SparkSession) -> int:
    """Return the default parallelism; of a local Spark, the cores it was started with."""
    master = _master(session)
    if local := re.match(r"local\[(\d+)", master):
        return int(local[1])
    cores = _default_parallelism(session)
    return (
        1 if cores == 2 and not is_local_master(master) and not _has_two_cores(session) else cores
    )


def _default_parallelism(session: SparkSession) -> int:
    if not is_connect(session):
        return SparkContext.getOrCreate().defaultParallelism
    last_row = session.range(_NUM_ROWS).where(f"id = {_NUM_ROWS - 1}")
    (row,) = last_row.selectExpr("spark_partition_id() AS number").collect()
    return int(row.number) + 1


def _executor_cores(session: SparkSession) -> int:
    """Return the cores of each executor; 0 if an executor has all cores of its machine."""
    master = _master(session)
    if cores := spark_setting(session, "spark.executor.cores"):
        return int(cores)
    if in_local_cluster := re.match(r"local-cluster\[\s*\d+\s*,\s*(\d+)", master):
        return int(in_local_cluster[1])
    return 0 if master.startswith("spark:") else 1  # Spark's defaults


def _count_executors(session: SparkSession, num_tasks: int) -> int:
    """Count the executors among which Spark distributes tasks: it gives each one its first task."""
    return len({row.executor for row in _run_tasks(session, num_tasks)})


def _has_two_cores(session: SparkSession) -> bool:
    """Return whether two tasks run at once, on different executors or on one."""
    first, second = sorted(_run_tasks(session, 2), key=lambda row: row.started)
    return bool(first.executor != second.executor or second.started < first.ended)


def _run_tasks(session: SparkSession, num_tasks: int) -> list[Row]:
    return map_tables(session.range(0, num_tasks, 1, num_tasks), _take_time, _TASK).collect()


def _take_time(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    started = time.time()
    time.sleep(_TASK_SECS)
    # All workers of an executor are children of one process.
    executor = f"{socket.gethostname()} {os.getppid()}"
    yield build_table([(executor, started, time.time())], _TASK)


def _wait_for_executor(session: SparkSession) -> bool:
    """Return whether an executor runs a task within a minute."""
    key = _session_key(session)
    if key in _sessions_with_executors:
        return True
    frame = session.range(0, 1, 1, 1)
    job = call_in_thread(frame.collect, InheritableThread)
    if not wait([job], _SETTLE_SECS).done:
        _logger.info("waiting for executors")
    if not wait([job], _MAX_WAIT_SECS).done:
        return False
    job.result()
    _sessions_with_executors.add(key)
    return True


def _session_key(session: SparkSession) -> str:
    if is_connect(session):
        return str(session.session_id)  # type: ignore[attr-defined]
    return SparkContext.getOrCreate().applicationId


def _master(session: SparkSession) -> str:
    return spark_setting(session, "spark.master")


def _too_few_slots_message(session: SparkSession, num_slots: int, num_ranks: int) -> str:
    task_gpus, executor_gpus = (
        spark_setting(session, f"spark.{owner}.resource.gpu.amount")
        for owner in ("task", "executor")
    )
    reason = ""
    if task_gpus:
        reason = f" (a task takes {task_gpus} of an executor's {executor_gpus or 0} GPUs)"
    fewer_ranks = f"use train.ranks={num_slots}, or " if num_slots else ""
    resources = ", cores or GPUs" if task_gpus else " or cores"
    return (
        f"train.ranks is {num_ranks}, but Spark has {num_slots} slot{'s' * (num_slots != 1)} to "
        f"run them in at once{reason}; {fewer_ranks}give Spark more executors{resources}"
    )
