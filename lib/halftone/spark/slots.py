"""Count the task slots of Spark's executors: how many ranks can run at once."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from halftone.errors import InputError

# Executors of a cluster register some seconds after the driver, and not all at once.
_MAX_WAIT_SECS = 60.0
_SETTLE_SECS = 3.0
_POLL_SECS = 0.5
# Results of `wait_and_count_slots`.
_slots_by_application: dict[str, int] = {}


def wait_for_slots(spark: SparkSession, num_slots: int) -> None:
    """Wait until Spark has `num_slots` slots.

    Raises:
        InputError: there are still too few after a minute.
    """
    conf = spark.sparkContext.getConf()
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        return  # Spark starts executors when there are tasks
    deadline = time.monotonic() + (0.0 if _is_local(spark) else _MAX_WAIT_SECS)
    last_printed = -1
    while (available := count_slots(spark)) < num_slots:
        if time.monotonic() > deadline:
            raise InputError(_too_few_slots_message(spark, available, num_slots))
        if available != last_printed:
            print(f"waiting for executors: {available} of {num_slots} slots", flush=True)
            last_printed = available
        time.sleep(_POLL_SECS)


def wait_and_count_slots(spark: SparkSession) -> int:
    """Wait until all executors have registered, and return how many tasks run at once.

    Returns 0 if no executor registers within a minute. `defaultParallelism` would not do: read at
    the start of a job, it is 2 on a standalone cluster of any size.
    """
    application = str(spark.sparkContext.applicationId)
    if not _slots_by_application.get(application):
        _slots_by_application[application] = _wait_until_stable(spark)
    return _slots_by_application[application]


def _wait_until_stable(spark: SparkSession) -> int:
    conf = spark.sparkContext.getConf()
    if _is_local(spark):
        return count_slots(spark)
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        # Spark starts executors when there are tasks, up to a maximum.
        executor_cores = int(str(conf.get("spark.executor.cores", "1")))
        slots_per_executor = executor_cores // int(str(conf.get("spark.task.cpus", "1")))
        max_executors = int(str(conf.get("spark.dynamicAllocation.maxExecutors", "0")))
        max_slots = max_executors * slots_per_executor
        return max(count_slots(spark), max_slots, spark.sparkContext.defaultParallelism)
    num_slots, changed_at = count_slots(spark), time.monotonic()
    if not num_slots:
        print("waiting for executors", flush=True)
    while time.monotonic() < changed_at + (_SETTLE_SECS if num_slots else _MAX_WAIT_SECS):
        current = count_slots(spark)
        if current != num_slots:
            num_slots, changed_at = current, time.monotonic()
        time.sleep(_POLL_SECS)
    return num_slots


def _is_local(spark: SparkSession) -> bool:
    return bool(spark.sparkContext._jsc.sc().isLocal())


def count_slots(spark: SparkSession) -> int:
    """Return how many tasks run at once on the executors that have registered."""
    context = spark.sparkContext._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(profile))


def _too_few_slots_message(spark: SparkSession, num_slots: int, num_ranks: int) -> str:
    conf = spark.sparkContext.getConf()
    task_gpus, executor_gpus = (
        conf.get(f"spark.{owner}.resource.gpu.amount") for owner in ("task", "executor")
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
