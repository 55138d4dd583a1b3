from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import fsspec
import pyarrow as pa
import pytest
from pyspark import daemon, worker
from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

from halftone.errors import InputError, RunError
from halftone.spark.actions import ActionProgress, collect_rows, parse_worker_error, run_action
from halftone.spark.frames import create_frame, map_rows
from halftone.storage import clients

NUMBER = pa.schema([pa.field("number", pa.int64())])


def run(any_spark: SparkSession, function: Callable[[int], object], count: int) -> list[int]:
    def apply(number: int) -> Iterator[tuple[object]]:
        yield (function(number),)

    frame = map_rows(
        create_frame(any_spark, pa.table([range(count)], schema=NUMBER), 4), apply, NUMBER
    )
    progress = ActionProgress("t", "test", count, "numbers")
    return sorted(row.number for row in collect_rows(frame, progress))


def test_rows_are_collected(any_spark: SparkSession) -> None:
    assert run(any_spark, lambda number: 10 * number, 5) == [0, 10, 20, 30, 40]


def test_a_worker_that_dies_is_replaced(any_spark: SparkSession, tmp_path: Path) -> None:
    mark = tmp_path / "died"

    def die_once(number: int) -> int:
        if number == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert run(any_spark, die_once, 4) == [0, 1, 2, 3]
    assert mark.exists()


def fail(error: Exception, number: int) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("it is\nwrong"), "ValueError: it is wrong; finished work is kept, run again"),
        (RunError("the store is away"), "the store is away; finished work is kept, run again"),
    ],
)
def test_an_error_of_a_worker_fails_the_run(
    any_spark: SparkSession, error: Exception, message: str
) -> None:
    with pytest.raises(RunError) as caught:
        run(any_spark, partial(fail, error), 1)
    assert str(caught.value).removesuffix(" to go on") == f"t: {message}"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("the shard is\ndamaged"), "t: the shard is damaged"),
        (PermissionError(13, "denied"), "t: PermissionError: [Errno 13] denied"),
        (OSError(40, "Too many levels"), "t: OSError: [Errno 40] Too many levels"),
    ],
)
def test_a_lasting_error_of_a_worker_is_one_of_the_input(
    any_spark: SparkSession, error: Exception, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(any_spark, partial(fail, error), 1)
    assert str(caught.value) == message


def test_a_wrong_setting_of_spark_is_one_of_the_input(spark: SparkSession) -> None:
    def refuse() -> None:
        raise IllegalArgumentException("spark.sql.shuffle.partitions should be int, but was many")

    with pytest.raises(InputError, match=r"^t: .* should be int, but was many$"):
        run_action(spark, refuse, ActionProgress("t", "test"))


class OfAnotherModule:
    """A function that a worker cannot load."""

    def __reduce__(self) -> tuple[Any, ...]:
        return import_module, ("no_such_module",)

    def __call__(self, number: int) -> int:
        return number


def test_a_worker_that_cannot_load_the_function_fails_the_run(spark: SparkSession) -> None:
    with pytest.raises(RunError) as caught:
        run(spark, OfAnotherModule(), 1)
    assert str(caught.value) == (
        "t: ModuleNotFoundError: No module named 'no_such_module'; finished work is kept, run "
        "again to go on"
    )


def test_an_error_that_is_not_of_spark_has_class_and_message() -> None:
    assert parse_worker_error(ValueError("it is wrong")) == "ValueError: it is wrong"


def test_a_worker_that_always_dies_fails_the_run(any_spark: SparkSession) -> None:
    with pytest.raises(RunError, match=r"^t: .*Python worker exited unexpectedly"):
        run(any_spark, lambda _: os.kill(os.getpid(), signal.SIGKILL), 1)


def test_ctrl_c_cancels_the_jobs(any_spark: SparkSession, tmp_path: Path) -> None:
    beats = tmp_path / "beats"

    def beat(number: int) -> int:
        for _ in range(300):
            beats.write_text(str(time.time()))
            time.sleep(0.1)
        return number

    def interrupt() -> None:
        while not beats.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(any_spark, beat, 1)
    deadline = time.monotonic() + 10.0
    while time.time() - beats.stat().st_mtime < 1.0:
        assert time.monotonic() < deadline, "the task goes on"
        time.sleep(0.1)
    assert run(any_spark, lambda number: number, 2) == [0, 1]


def test_workers_have_the_options_of_stores(
    any_spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSSPEC_MEMORY", '{"limit": 7}')
    monkeypatch.setattr(clients, "_configured_protocols", {"memory"})
    assert run(any_spark, lambda _: int(fsspec.config.conf["memory"]["limit"]), 1) == [7]


def test_what_halftone_spares_workers_is_still_done_for_each_task() -> None:
    """See halftone.spark.worker: without these calls, sparing them is of no use."""
    assert "gc.collect()" in Path(daemon.__file__).read_text()
    assert "invalidate_caches()" in Path(worker.__file__).read_text()
