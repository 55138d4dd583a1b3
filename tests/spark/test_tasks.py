from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from halftone.errors import RunError
from halftone.spark import tasks


def run(spark: SparkSession, task: object, count: int, slices: int) -> list[object]:
    return tasks.run_tasks(
        spark, task, count, num_slices=slices, progress=tasks.TaskProgress("t", count, "tasks")
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "slices"), [(1, 1), (7, 3), (5, 50), (40, 4)])
def test_results_come_back_in_order(spark: SparkSession, count: int, slices: int) -> None:
    assert run(spark, lambda number: {"n": number}, count, slices) == [
        {"n": n} for n in range(count)
    ]


def test_no_tasks(spark: SparkSession) -> None:
    assert run(spark, lambda number: number, 0, 4) == []


def test_a_worker_that_dies_is_replaced(spark: SparkSession, tmp_path: Path) -> None:
    mark = tmp_path / "died"

    def die_once(number: int) -> int:
        if number == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert run(spark, die_once, 4, 4) == [0, 1, 2, 3]
    assert mark.exists()


def test_a_task_that_fails_fails_the_run(spark: SparkSession) -> None:
    def fail(number: int) -> int:
        raise ValueError(f"task {number} is wrong")

    with pytest.raises(RunError) as caught:
        run(spark, fail, 1, 1)
    assert str(caught.value) == (
        "t: ValueError: task 0 is wrong; finished work is kept, run again to go on"
    )


def test_a_worker_that_always_dies_fails_the_run(spark: SparkSession) -> None:
    with pytest.raises(RunError, match=r"^t: .*Python worker exited unexpectedly"):
        run(spark, lambda _: os.kill(os.getpid(), signal.SIGKILL), 1, 1)
