from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from halftone.spark.background import BackgroundAction
from halftone.spark.frames import map_tables

NUMBER = pa.schema([pa.field("id", pa.int64())])


def wait_for_file(path: Path, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    path.with_name("started").touch()
    while not path.exists():
        time.sleep(0.05)
    yield from tables


def start(any_spark: SparkSession, path: Path) -> BackgroundAction[int]:
    frame = map_tables(any_spark.range(0, 3, 1, 1), partial(wait_for_file, path), NUMBER)
    return BackgroundAction(any_spark, lambda: len(frame.collect()), "test")


def test_an_action_is_waited_for(any_spark: SparkSession, tmp_path: Path) -> None:
    action = start(any_spark, tmp_path / "end")
    assert not action.wait(0.1)
    assert action.error() is None
    (tmp_path / "end").touch()
    assert action.wait(30)
    assert action.error() is None
    assert action.result() == 3


def test_cancelling_ends_this_action_alone(any_spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    cancelled, other = (
        start(any_spark, tmp_path / "end"),
        start(any_spark, tmp_path / "other" / "end"),
    )
    while not (tmp_path / "started").exists():
        assert not cancelled.wait(0.05)
    cancelled.cancel()
    assert cancelled.wait(30)
    assert re.search("cancel", str(cancelled.error()), re.IGNORECASE)
    with pytest.raises(type(cancelled.error())):
        cancelled.result()
    assert not other.wait(0.1)
    (tmp_path / "other" / "end").touch()
    assert other.result() == 3
