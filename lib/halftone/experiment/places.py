"""Launch the trainings of an experiment as local processes or from Spark tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Optional, Protocol

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import storage
from halftone.experiment import trial
from halftone.launch import spark_task
from halftone.spark.actions import parse_worker_error
from halftone.spark.background import BackgroundAction
from halftone.spark.frames import build_table, map_tables
from halftone.spark.settings import is_local_spark
from halftone.system import exit_status

TrainingJob = Mapping[str, Any]
_POLL_SECS = 1.0
# The columns of TrainingExit, as a Spark task returns it.
_EXIT = pa.schema([pa.field("exit_code", pa.int32()), pa.field("message", pa.string())])


class TrainingExit(NamedTuple):
    """How a training process ended."""

    exit_code: int
    message: str  # last output line of a failed process, or how it was killed


class RunningTraining(Protocol):
    """A running training."""

    def wait(self, secs: float) -> Optional[TrainingExit]:
        """Wait for the end, at most `secs`; return None if the training is still running."""

    def stop(self) -> None:
        """Ask it to stop, if there is a faster way than the stop file beside its model."""


class TrainingLauncher(Protocol):
    is_local: bool  # whether trainings share the cores of this machine

    def launch(self, job: TrainingJob, log: str) -> RunningTraining:
        """Start a training; `log` is the URL of its output."""


class ProcessLauncher:
    """Starts each training as a local process."""

    is_local = True

    def launch(self, job: TrainingJob, log: str) -> RunningTraining:
        return _TrainingProcess(job, log)


class SparkLauncher:
    """Starts each training on an executor, as a Spark job with one task."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self.is_local = is_local_spark(spark)

    def launch(self, job: TrainingJob, log: str) -> RunningTraining:
        return _TrainingTask(self._spark, job, log)


class _TrainingProcess:
    def __init__(self, job: TrainingJob, log: str) -> None:
        self._log = log
        self._oom_kills_before = exit_status.count_oom_kills()
        # An object store cannot append: the log is uploaded when the process has ended.
        self._local_log = Path(log) if storage.is_local(log) else Path(tempfile.mkstemp()[1])
        with self._local_log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *trial.COMMAND],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=_process_environment(),
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            # Keep stdin open: the training exits when it is closed, also if this process is killed.
            self._process.stdin.write((json.dumps(job) + "\n").encode())
            self._process.stdin.flush()

    def wait(self, secs: float) -> Optional[TrainingExit]:
        try:
            code = self._process.wait(secs)
        except subprocess.TimeoutExpired:
            return None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        message = (
            exit_status.describe_exit(code, self._oom_kills_before)
            if code < 0
            else self._last_line()
        )
        if str(self._local_log) != self._log:
            storage.write_bytes(self._log, self._local_log.read_bytes())
            self._local_log.unlink()
        return TrainingExit(code, message if code else "")

    def stop(self) -> None:
        self._process.terminate()

    def _last_line(self) -> str:
        lines = self._local_log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


def _process_environment() -> dict[str, str]:
    """Return this process's environment without spark-submit's JVM: a training starts its own."""
    inherited = {name: value for name, value in os.environ.items() if "PYSPARK_GATEWAY" not in name}
    return {**inherited, **spark_task.rank_environment()}


class _TrainingTask:
    def __init__(self, spark: SparkSession, job: TrainingJob, log: str) -> None:
        frame = map_tables(spark.range(0, 1, 1, 1), partial(_run_in_task, job, log), _EXIT)
        self._action = BackgroundAction(spark, frame.collect, job["config"]["name"])

    def wait(self, secs: float) -> Optional[TrainingExit]:
        if not self._action.wait(secs):
            return None
        error = self._action.error()
        if error is not None:  # of the task, or the JVM or the application has ended
            return TrainingExit(1, parse_worker_error(error))
        (row,) = self._action.result()
        return TrainingExit(*row)

    def stop(self) -> None:
        pass


def _run_in_task(job: TrainingJob, log: str, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    process = _TrainingProcess(job, log)
    training_exit = None
    while training_exit is None:
        training_exit = process.wait(_POLL_SECS)
    yield build_table([training_exit], _EXIT)
