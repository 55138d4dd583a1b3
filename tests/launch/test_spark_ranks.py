from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from halftone.errors import RunError, StoppedError
from halftone.launch import spark_ranks, spark_task
from halftone.launch.connection import DriverAddress
from halftone.launch.signals import StopRequest
from halftone.spark.frames import map_tables


def running_rank_pids() -> list[int]:
    """The processes of the ranks that this process's Spark has started."""
    pids = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if "halftone.launch.rank" in process.cmdline():
                pids.append(process.pid)
    return pids


def wait_until_gone() -> None:
    deadline = time.monotonic() + 20
    while running_rank_pids():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_more_ranks_than_spark_slots_are_refused(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_tables(spark.range(2), iter, spark_task.NUMBERS).collect()  # the first job takes seconds
    monkeypatch.setattr(spark_ranks, "_START_TIMEOUT_SECS", 4.0)
    with (
        pytest.raises(RunError) as caught,
        spark_ranks.start_spark_ranks({}, 3, spark, StopRequest()),
    ):
        pytest.fail("3 ranks in 2 slots")
    assert str(caught.value) == (
        "2 of 3 ranks have started after 4 s; are Spark's slots taken by other jobs?"
    )
    wait_until_gone()
    assert spark.range(4).count() == 4  # the slots are free again


def test_ranks_end_when_killed_or_when_the_context_ends(spark: SparkSession) -> None:
    with spark_ranks.start_spark_ranks({"config": None}, 2, spark, StopRequest()) as ranks:
        assert [rank.task_number for rank in ranks] == [0, 1]
        assert len(running_rank_pids()) == 2
        ranks[1].kill()
        deadline = time.monotonic() + 10
        while len(running_rank_pids()) == 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    wait_until_gone()


def test_stop_request_while_ranks_start(spark: SparkSession) -> None:
    stop_request = StopRequest()
    stop_request.handle_signal(15, None)
    with (
        pytest.raises(StoppedError),
        spark_ranks.start_spark_ranks({}, 2, spark, stop_request),
    ):
        pytest.fail("went on")
    wait_until_gone()


def test_task_that_cannot_start_its_rank_is_an_error(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(driver: DriverAddress, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        raise OSError("no room for the rank")

    monkeypatch.setattr(spark_task, "run_rank", fail)
    with (
        pytest.raises(RunError) as caught,
        spark_ranks.start_spark_ranks({}, 2, spark, StopRequest()),
    ):
        pytest.fail("went on")
    assert str(caught.value) == ("the Spark job of the ranks failed: OSError: no room for the rank")
