"""Where a training of an experiment runs: as a process here, or as one that a Spark task starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Optional, Protocol

from py4j.protocol import Py4JJavaError
from pyspark import InheritableThread
from pyspark.sql import SparkSession

from halftone import storage
from halftone.experiment import trial
from halftone.launch import spark_task
from halftone.spark import tasks
from halftone.spark.session import is_local
from halftone.system import exit_status

Job = Mapping[str, Any]
_LOOK_EVERY_SECS = 1.0


class Ended(NamedTuple):
    code: int
    said: str  # what a process that failed said last, or how it died


class Running(Protocol):
    """A training on its way."""

    def wait(self, secs: float) -> Optional[Ended]:
        """Wait, so long at most; None where it still runs."""

    def stop(self) -> None:
        """Have it end early, if there is a quicker way than a file beside its model."""


class Place(Protocol):
    is_here: bool  # trainings share the cores of this machine

    def start(self, job: Job, log: str) -> Running:
        """Start a training; `log` is the URL of what it says."""


class Processes:
    """This machine."""

    is_here = True

    def start(self, job: Job, log: str) -> Running:
        return _Process(job, log)


class Cluster:
    """Spark's executors: a Spark job of one task for each training."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self.is_here = is_local(str(spark.sparkContext.master))

    def start(self, job: Job, log: str) -> Running:
        return _Task(self._spark, job, log)


class _Process:
    def __init__(self, job: Job, log: str) -> None:
        self._log = log
        self._before = exit_status.out_of_memory_kills()
        # A store that is no file system takes a log as a whole, in the end.
        self._own = Path(log) if storage.is_local(log) else Path(tempfile.mkstemp()[1])
        with self._own.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *trial.COMMAND],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            # Its input stays open: it ends when that does, as when this process is killed.
            self._process.stdin.write((json.dumps(job) + "\n").encode())
            self._process.stdin.flush()

    def wait(self, secs: float) -> Optional[Ended]:
        try:
            code = self._process.wait(secs)
        except subprocess.TimeoutExpired:
            return None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        said = exit_status.describe(code, self._before) if code < 0 else self._last_line()
        if str(self._own) != self._log:
            storage.write_bytes(self._log, self._own.read_bytes())
            self._own.unlink()
        return Ended(code, said if code else "")

    def stop(self) -> None:
        self._process.terminate()

    def _last_line(self) -> str:
        lines = self._own.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "said nothing")


def _environment() -> dict[str, str]:
    """This process's, but for the Spark that spark-submit gave it: a training has its own."""
    own = {name: value for name, value in os.environ.items() if "PYSPARK_GATEWAY" not in name}
    return {**own, **spark_task.environment()}


class _Task:
    def __init__(self, spark: SparkSession, job: Job, log: str) -> None:
        self._context = spark.sparkContext
        self._name = f"halftone: {job['config']['name']}"
        self._ended: Optional[Ended] = None
        self._thread = InheritableThread(target=self._run, args=(job, log), daemon=True)
        self._thread.start()

    def _run(self, job: Job, log: str) -> None:
        try:
            self._context.setJobGroup(uuid.uuid4().hex, self._name)
            one = self._context.parallelize([job], 1)
            (self._ended,) = one.map(partial(_in_task, log=log)).collect()
        except Py4JJavaError as error:
            self._ended = Ended(1, tasks.cause(str(error.java_exception)))
        except Exception as error:  # the JVM is gone, or the application at its end
            self._ended = Ended(1, f"{type(error).__name__}: {error}")

    def wait(self, secs: float) -> Optional[Ended]:
        self._thread.join(secs)
        return self._ended

    def stop(self) -> None:
        pass


def _in_task(job: Job, log: str) -> Ended:
    process = _Process(job, log)
    while True:
        ended = process.wait(_LOOK_EVERY_SECS)
        if ended is not None:
            return ended
