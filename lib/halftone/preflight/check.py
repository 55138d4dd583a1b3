"""Look at the cluster at hand before a job does: what is there, and what will not do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

import pyspark
from py4j.protocol import Py4JJavaError
from pyspark import BarrierTaskContext, TaskContext
from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config
from halftone.errors import InputError
from halftone.preflight import checks, probe_host, probe_storage
from halftone.preflight.probe_host import HostReport
from halftone.preflight.probe_storage import StorageProbe
from halftone.spark import tasks
from halftone.spark.session import is_local_master, spark_session
from halftone.spark.slots import wait_and_count_slots
from halftone.tracking import mlflow_model


class ExecutorReports(NamedTuple):
    """What the executors said."""

    hosts: list[HostReport]
    clock_lag_secs: dict[str, float]  # by how much each one's clock is behind the driver's
    error: str = ""  # why there are none


def check_cluster(config: Config, reads: Mapping[str, str], writes: Mapping[str, str]) -> None:
    """Print what driver and executors are, and whether a job can work there; change nothing.

    Args:
        reads: URLs that the job reads, by their key in section `paths`.
        writes: those that it writes.

    Raises:
        InputError: something will not do; its cure is printed.
    """
    trains = "model" in writes
    reads = {key: url for key, url in reads.items() if not mlflow_model.is_mlflow_uri(url)}
    keys = {storage.normalise_url(url): key for key, url in {**reads, **writes}.items()}
    probe = StorageProbe(
        tuple(map(storage.normalise_url, reads.values())),
        tuple(map(storage.normalise_url, writes.values())),
        secrets.token_hex(4),
    )
    with spark_session(f"{config.name}: check", config.spark) as spark:
        master = str(spark.sparkContext.master)
        java = str(spark._jvm.java.lang.System.getProperty("java.version"))  # type: ignore[union-attr]
        with probe_storage.plant_files(probe) as errors, ThreadPoolExecutor(1) as pool:
            # While executors unpack what they get.
            looking = pool.submit(_inspect_host, "driver", java, probe, trains)
            # A file that the driver could not write, executors would miss: that is said once.
            asked = probe._replace(writes=tuple(url for url in errors if not errors[url]))
            slots = wait_and_count_slots(spark)
            seen = _inspect_executors(spark, slots, asked, trains)
            driver = looking.result()
            driver.stores.update({url: error for url, error in errors.items() if error})
        ranks = config.train.ranks if trains and not is_local_master(master) else 1
        lines = [
            *checks.check_versions(driver, seen.hosts),
            *checks.check_horovod(driver, seen.hosts),
            checks.check_executors(seen.hosts, slots, ranks, seen.error),
            *checks.check_stores(keys, probe, driver, seen.hosts),
            *checks.check_clocks(seen.clock_lag_secs),
        ]
        print(checks.format_report(master, driver, seen.hosts, lines), flush=True)
    wrong = sum(line.is_wrong for line in lines)
    if wrong:
        raise InputError(f"{wrong} of {len(lines)} checks failed; what to do is said above")


def _inspect_executors(
    spark: SparkSession, slots: int, probe: StorageProbe, needs_horovod: bool
) -> ExecutorReports:
    """Have a look from each executor."""
    if not slots:
        return ExecutorReports([], {}, "none has come")
    try:
        found = _run_on_executors(spark, slots, partial(_inspect_executor, probe, needs_horovod))
        asked_at = time.time()
        clocks = dict(_run_on_executors(spark, slots, _read_clock))
        answered_at = time.time()
    except Py4JJavaError as error:
        return ExecutorReports([], {}, tasks.parse_worker_error(str(error.java_exception)))
    late_secs = {
        name: min(0.0, answered_at - secs) + max(0.0, asked_at - secs)
        for name, secs in clocks.items()
    }
    return ExecutorReports(sorted({place.name: place for place in found}.values()), late_secs)


def _run_on_executors(
    spark: SparkSession, slots: int, task: Callable[[Iterable[int]], Iterator[Any]]
) -> list[Any]:
    """What `task` gives on all executors: it runs in all slots at once where Spark can do that."""
    numbers = spark.sparkContext.parallelize(range(slots), slots)
    if spark.sparkContext.getConf().get("spark.dynamicAllocation.enabled") == "true":
        return numbers.mapPartitions(task).collect()
    return numbers.barrier().mapPartitions(task).collect()


def _is_first_of_executor() -> bool:
    context = TaskContext.get()
    if not isinstance(context, BarrierTaskContext):
        return True
    addresses = [info.address for info in context.getTaskInfos()]
    number = context.partitionId()
    return addresses.index(addresses[number]) == number


def _inspect_executor(
    probe: StorageProbe, needs_horovod: bool, numbers: Iterable[int]
) -> Iterator[HostReport]:
    if _is_first_of_executor():
        yield _inspect_host(probe_host.executor_name(), None, probe, needs_horovod)


def _read_clock(numbers: Iterable[int]) -> Iterator[tuple[str, float]]:
    yield probe_host.executor_name(), time.time()


def _inspect_host(
    name: str, java_version: Optional[str], probe: StorageProbe, needs_horovod: bool
) -> HostReport:
    place = probe_host.inspect_host(name, java_version, probe, needs_horovod)
    # Spark brings its own to a worker; what pip knows of is another.
    return place._replace(versions={**place.versions, "pyspark": pyspark.__version__})
