"""How many ranks Spark can run at once: slots of its executors, by cores and by GPUs."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from halftone.errors import InputError
from halftone.session import is_local

# Executors of a cluster register some seconds after the driver.
_WAIT_SECS = 60.0


def wait_for(spark: SparkSession, ranks: int) -> None:
    """Return when Spark has a slot for each rank.

    Raises:
        InputError: it still has too few after a while.
    """
    conf = spark.sparkContext.getConf()
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        return  # executors come when there are tasks
    patience_secs = 0.0 if is_local(str(spark.sparkContext.master)) else _WAIT_SECS
    give_up_at = time.monotonic() + patience_secs
    said = -1
    while (found := count(spark)) < ranks:
        if time.monotonic() > give_up_at:
            raise InputError(_too_few(spark, found, ranks))
        if found != said:
            print(f"waiting for executors: {found} of {ranks} slots", flush=True)
            said = found
        time.sleep(0.5)


def count(spark: SparkSession) -> int:
    """How many tasks run at once on the executors that are there."""
    context = spark.sparkContext._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(profile))


def _too_few(spark: SparkSession, found: int, ranks: int) -> str:
    conf = spark.sparkContext.getConf()
    each, have = (conf.get(f"spark.{of}.resource.gpu.amount") for of in ("task", "executor"))
    why = f" (a task takes {each} GPU of an executor's {have or 0})" if each else ""
    less = f"use train.ranks={found}, or " if found else ""
    return (
        f"train.ranks is {ranks}, but Spark has {found} slot{'s' * (found != 1)} to run them in "
        f"at once{why}; {less}give Spark more executors{', cores or GPUs' if each else ' or cores'}"
    )
