"""How many ranks Spark can run at once: slots of its executors, by cores and by GPUs."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from halftone.errors import InputError

# Executors of a cluster register some seconds after the driver, and not all at once.
_MAX_WAIT_SECS = 60.0
_SETTLE_SECS = 3.0
_POLL_SECS = 0.5
# What `settled` found, by application.
_slots_by_application: dict[str, int] = {}


def wait_for_slots(spark: SparkSession, num_slots: int) -> None:
    """Return when Spark has a slot for each rank.

    Raises:
        InputError: it still has too few after a while.
    """
    conf = spark.sparkContext.getConf()
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        return  # executors come when there are tasks
    patience_secs = 0.0 if _is_local(spark) else _MAX_WAIT_SECS
    give_up_at = time.monotonic() + patience_secs
    said = -1
    while (found := count_slots(spark)) < num_slots:
        if time.monotonic() > give_up_at:
            raise InputError(_too_few_slots_message(spark, found, num_slots))
        if found != said:
            print(f"waiting for executors: {found} of {num_slots} slots", flush=True)
            said = found
        time.sleep(_POLL_SECS)


def wait_and_count_slots(spark: SparkSession) -> int:
    """How many tasks run at once when all executors have come; 0 where none comes in a minute.

    Spark's own number, asked as soon as a job has begun, is 2 on a standalone cluster of any size.
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
        # They come when there are tasks, as many as may.
        each = int(str(conf.get("spark.executor.cores", "1"))) // int(
            str(conf.get("spark.task.cpus", "1"))
        )
        at_most = int(str(conf.get("spark.dynamicAllocation.maxExecutors", "0")))
        return max(count_slots(spark), at_most * each, spark.sparkContext.defaultParallelism)
    found, since = count_slots(spark), time.monotonic()
    if not found:
        print("waiting for executors", flush=True)
    while time.monotonic() < since + (_SETTLE_SECS if found else _MAX_WAIT_SECS):
        now = count_slots(spark)
        if now != found:
            found, since = now, time.monotonic()
        time.sleep(_POLL_SECS)
    return found


def _is_local(spark: SparkSession) -> bool:
    return bool(spark.sparkContext._jsc.sc().isLocal())


def count_slots(spark: SparkSession) -> int:
    """How many tasks run at once on the executors that are there."""
    context = spark.sparkContext._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(profile))


def _too_few_slots_message(spark: SparkSession, num_slots: int, ranks: int) -> str:
    conf = spark.sparkContext.getConf()
    each, have = (conf.get(f"spark.{of}.resource.gpu.amount") for of in ("task", "executor"))
    why = f" (a task takes {each} GPU of an executor's {have or 0})" if each else ""
    less = f"use train.ranks={num_slots}, or " if num_slots else ""
    return (
        f"train.ranks is {ranks}, but Spark has {num_slots} slot{'s' * (num_slots != 1)} to run them in "
        f"at once{why}; {less}give Spark more executors{', cores or GPUs' if each else ' or cores'}"
    )
