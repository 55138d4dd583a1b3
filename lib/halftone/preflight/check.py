"""Check a cluster before a job runs: versions, executors, storage and clocks."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Optional

import pyarrow as pa
import pyspark
from py4j.protocol import Py4JJavaError
from pyspark import BarrierTaskContext, TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

from halftone import storage
from halftone.config import Config
from halftone.dataset.named_dataset import find_dataset
from halftone.errors import InputError
from halftone.preflight import checks, probe_host, probe_storage
from halftone.preflight.probe_host import HostReport
from halftone.preflight.probe_storage import StorageProbe
from halftone.spark.actions import parse_worker_error
from halftone.spark.frames import build_table, map_tables
from halftone.spark.session import session_on_demand
from halftone.spark.settings import describe_spark, has_dynamic_allocation, is_local_spark
from halftone.spark.slots import wait_and_count_slots
from halftone.spark.worker import TableFunction
from halftone.tracking import mlflow_model

_JAVA_VERSION = "SELECT java_method('java.lang.System', 'getProperty', 'java.version') AS version"
_PREDICTIONS = {"scores", "label_errors"}  # outputs of the jobs that predict on executors
_REPORT = pa.schema([pa.field("report", pa.string())])  # a HostReport as JSON
_CLOCK = pa.schema([pa.field("name", pa.string()), pa.field("unix_secs", pa.float64())])


class ExecutorReports(NamedTuple):
    """Reports of all executors."""

    hosts: list[HostReport]
    clock_lag_secs: dict[str, float]  # how far each executor's clock is behind the driver's
    error: str = ""  # why there are no reports


def check_cluster(config: Config, reads: Mapping[str, str], writes: Mapping[str, str]) -> None:
    """Print a report on driver and executors, and whether a job can run there.

    Files that are written for the check are removed.

    Args:
        config: the whole config.
        reads: URLs that the job reads, by their key in section `paths`.
        writes: URLs that the job writes, by their key in section `paths`.

    Raises:
        InputError: a check failed; the report says how to correct it.
    """
    trains, predicts = "model" in writes, not _PREDICTIONS.isdisjoint(writes)
    writes = {key: storage.normalise_url(url) for key, url in writes.items()}
    with session_on_demand(f"{config.name}: check", config.spark) as session:
        reads = {
            key: find_dataset(url, session)  # the other paths are no tables
            for key, url in reads.items()
            if not mlflow_model.is_mlflow_uri(url)
        }
        keys = {url: key for key, url in {**reads, **writes}.items()}
        probe = StorageProbe(tuple(reads.values()), tuple(writes.values()), secrets.token_hex(4))
        spark = session()
        java = _java_version(spark)
        with probe_storage.plant_files(probe) as errors, ThreadPoolExecutor(1) as pool:
            # Inspect the driver while executors unpack their environment.
            driver_future = pool.submit(_inspect_host, "driver", java, probe, trains)
            # Executors skip URLs that the driver could not write to, to report the error once.
            executor_probe = probe._replace(writes=tuple(url for url in errors if not errors[url]))
            slots = wait_and_count_slots(spark)
            executors = _inspect_executors(spark, slots, executor_probe, trains)
            driver = driver_future.result()
            driver.stores.update({url: error for url, error in errors.items() if error})
        ranks = config.train.ranks if trains else 1
        on_executors = not is_local_spark(spark)
        results = [
            *checks.check_versions(driver, executors.hosts),
            *checks.check_horovod(driver, executors.hosts),
            *checks.check_rank_network(driver, executors.hosts, ranks, on_executors),
            checks.check_executors(
                executors.hosts, slots, ranks if on_executors else 1, executors.error
            ),
            *(checks.check_scoring_gpus(executors.hosts) if predicts else ()),
            *checks.check_stores(keys, probe, driver, executors.hosts),
            *checks.check_clocks(executors.clock_lag_secs),
        ]
        report = checks.format_report(describe_spark(spark), driver, executors.hosts, results)
        print(report, flush=True)
    num_failed = sum(result.is_wrong for result in results)
    if num_failed:
        raise InputError(f"{num_failed} of {len(results)} checks failed; see the report above")


def _java_version(spark: SparkSession) -> str:
    """Return the version of Java of Spark's driver; "" if a server of Spark Connect hides it."""
    try:
        return str(spark.sql(_JAVA_VERSION).collect()[0].version)
    except PySparkException:
        return ""


def _inspect_executors(
    spark: SparkSession, slots: int, probe: StorageProbe, needs_horovod: bool
) -> ExecutorReports:
    """Inspect each executor, and compare its clock with the driver's."""
    if not slots:
        return ExecutorReports([], {}, "no executor has started")
    try:
        inspect = partial(_inspect_executor, probe, needs_horovod)
        rows = _run_on_executors(spark, slots, inspect, _REPORT)
        asked_at = time.time()
        clocks = _run_on_executors(spark, slots, _read_clock, _CLOCK)
        answered_at = time.time()
    except (Py4JJavaError, PySparkException) as error:
        return ExecutorReports([], {}, parse_worker_error(error))
    # A clock that was read between both times of the driver counts as exact.
    clock_lag_secs = {
        name: min(0.0, answered_at - secs) + max(0.0, asked_at - secs) for name, secs in clocks
    }
    reports = (HostReport(**json.loads(row.report)) for row in rows)
    hosts = sorted({report.name: report for report in reports}.values())
    return ExecutorReports(hosts, clock_lag_secs)


def _run_on_executors(
    spark: SparkSession, slots: int, task: TableFunction, schema: pa.Schema
) -> list[Row]:
    """Run a task on all executors and return its rows, of `schema`.

    It runs in all slots at once, as a barrier stage. With dynamic allocation Spark does not support
    that, and some executors may be missed.
    """
    numbers = spark.range(0, slots, 1, slots)
    barrier = not has_dynamic_allocation(spark)
    return map_tables(numbers, task, schema, barrier=barrier).collect()


def _is_first_of_executor() -> bool:
    context = TaskContext.get()
    if not isinstance(context, BarrierTaskContext):
        return True
    addresses = [info.address for info in context.getTaskInfos()]
    index = context.partitionId()
    return addresses.index(addresses[index]) == index


def _inspect_executor(
    probe: StorageProbe, needs_horovod: bool, tables: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    if _is_first_of_executor():
        report = _inspect_host(probe_host.executor_name(), None, probe, needs_horovod)
        yield build_table([(json.dumps(report._asdict()),)], _REPORT)


def _read_clock(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield build_table([(probe_host.executor_name(), time.time())], _CLOCK)


def _inspect_host(
    name: str, java_version: Optional[str], probe: StorageProbe, needs_horovod: bool
) -> HostReport:
    report = probe_host.inspect_host(name, java_version, probe, needs_horovod)
    # Workers import PySpark from the Spark installation, not the package that pip has installed.
    return report._replace(versions={**report.versions, "pyspark": pyspark.__version__})
