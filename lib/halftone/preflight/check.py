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
from halftone.preflight.probe_host import Place
from halftone.preflight.probe_storage import Probe
from halftone.spark import tasks
from halftone.spark.session import is_local, spark_session
from halftone.spark.slots import settled
from halftone.tracking import mlflow_model


class Seen(NamedTuple):
    """What the executors said."""

    places: list[Place]
    late_secs: dict[str, float]  # by how much each one's clock is behind the driver's
    error: str = ""  # why there are none


def run(config: Config, reads: Mapping[str, str], writes: Mapping[str, str]) -> None:
    """Print what driver and executors are, and whether a job can work there; change nothing.

    Args:
        reads: URLs that the job reads, by their key in section `paths`.
        writes: those that it writes.

    Raises:
        InputError: something will not do; its cure is printed.
    """
    trains = "model" in writes
    reads = {key: url for key, url in reads.items() if not mlflow_model.is_mlflow(url)}
    keys = {storage.normalise(url): key for key, url in {**reads, **writes}.items()}
    probe = Probe(
        tuple(map(storage.normalise, reads.values())),
        tuple(map(storage.normalise, writes.values())),
        secrets.token_hex(4),
    )
    with spark_session(f"{config.name}: check", config.spark) as spark:
        master = str(spark.sparkContext.master)
        java = str(spark._jvm.java.lang.System.getProperty("java.version"))  # type: ignore[union-attr]
        with probe_storage.planted(probe) as errors, ThreadPoolExecutor(1) as pool:
            # While executors unpack what they get.
            looking = pool.submit(_look, "driver", java, probe, trains)
            # A file that the driver could not write, executors would miss: that is said once.
            asked = probe._replace(writes=tuple(url for url in errors if not errors[url]))
            slots = settled(spark)
            seen = _seen(spark, slots, asked, trains)
            driver = looking.result()
            driver.stores.update({url: error for url, error in errors.items() if error})
        ranks = config.train.ranks if trains and not is_local(master) else 1
        lines = [
            *checks.of_versions(driver, seen.places),
            *checks.of_horovod(driver, seen.places),
            checks.of_executors(seen.places, slots, ranks, seen.error),
            *checks.of_stores(keys, probe, driver, seen.places),
            *checks.of_clocks(seen.late_secs),
        ]
        print(checks.text(master, driver, seen.places, lines), flush=True)
    wrong = sum(line.is_wrong for line in lines)
    if wrong:
        raise InputError(f"{wrong} of {len(lines)} checks failed; what to do is said above")


def _seen(spark: SparkSession, slots: int, probe: Probe, needs_horovod: bool) -> Seen:
    """Have a look from each executor."""
    if not slots:
        return Seen([], {}, "none has come")
    try:
        found = _on_executors(spark, slots, partial(_visit, probe, needs_horovod))
        asked_at = time.time()
        clocks = dict(_on_executors(spark, slots, _clock))
        answered_at = time.time()
    except Py4JJavaError as error:
        return Seen([], {}, tasks.cause(str(error.java_exception)))
    late_secs = {
        name: min(0.0, answered_at - secs) + max(0.0, asked_at - secs)
        for name, secs in clocks.items()
    }
    return Seen(sorted({place.name: place for place in found}.values()), late_secs)


def _on_executors(
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


def _visit(probe: Probe, needs_horovod: bool, numbers: Iterable[int]) -> Iterator[Place]:
    if _is_first_of_executor():
        yield _look(probe_host.executor_name(), None, probe, needs_horovod)


def _clock(numbers: Iterable[int]) -> Iterator[tuple[str, float]]:
    yield probe_host.executor_name(), time.time()


def _look(name: str, java: Optional[str], probe: Probe, needs_horovod: bool) -> Place:
    place = probe_host.look(name, java, probe, needs_horovod)
    # Spark brings its own to a worker; what pip knows of is another.
    return place._replace(versions={**place.versions, "pyspark": pyspark.__version__})
