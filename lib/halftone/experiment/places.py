"""Launch the trainings of an experiment as local processes or from Spark tasks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Callable, Optional, Protocol

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import storage
from halftone.experiment.training_process import TrainingExit, TrainingJob, TrainingProcess
from halftone.spark.actions import parse_worker_error
from halftone.spark.background import BackgroundAction
from halftone.spark.frames import build_table, map_tables
from halftone.spark.settings import is_local_spark

_POLL_SECS = 1.0
# The columns of TrainingExit, as a Spark task returns it.
_EXIT = pa.schema([pa.field("exit_code", pa.int32()), pa.field("message", pa.string())])


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
    """Starts trainings as local processes, and reuses a process that fits the next training.

    Use it as a context manager: its end ends the processes that wait for a training.
    """

    is_local = True

    def __init__(self) -> None:
        # By slot. A slot has one training at a time, so its entry is used by one thread.
        self._idle_processes: dict[int, TrainingProcess] = {}

    def __enter__(self) -> ProcessLauncher:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._idle_processes.values():
            process.end()

    def launch(self, job: TrainingJob, log: str) -> RunningTraining:
        process = self._idle_processes.pop(job["slot"], None)
        if process is not None and not process.can_run(job):
            process.end()
            process = None
        return _ProcessTraining(process or TrainingProcess(job), job, log, self._keep)

    def _keep(self, job: TrainingJob, process: TrainingProcess) -> None:
        self._idle_processes[job["slot"]] = process


class SparkLauncher:
    """Starts each training on an executor, as a Spark job with one task."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self.is_local = is_local_spark(spark)

    def launch(self, job: TrainingJob, log: str) -> RunningTraining:
        return _TrainingTask(self._spark, job, log)


class _ProcessTraining:
    """A training in a local process.

    Args:
        process: Has no other training.
        job: The training.
        log: URL of its output.
        keep: Gets the process after the training, if it can run another one.
    """

    def __init__(
        self,
        process: TrainingProcess,
        job: TrainingJob,
        log: str,
        keep: Callable[[TrainingJob, TrainingProcess], None],
    ) -> None:
        self._process, self._job, self._log, self._keep = process, job, log, keep
        self._is_stopped = False
        # An object store cannot append: the log is uploaded at the end.
        self._local_log = Path(log) if storage.is_local(log) else Path(tempfile.mkstemp()[1])
        process.start(job, self._local_log)

    def wait(self, secs: float) -> Optional[TrainingExit]:
        training_exit = self._process.wait(secs)
        if training_exit is None:
            return None
        if self._process.is_reusable() and not self._is_stopped:
            self._keep(self._job, self._process)
        else:
            self._process.end()
        if str(self._local_log) != self._log:
            storage.write_bytes(self._log, self._local_log.read_bytes())
            self._local_log.unlink()
        return training_exit

    def stop(self) -> None:
        self._is_stopped = True
        self._process.terminate()


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
    # Between two tasks, a process would hold memory that Spark does not know of.
    with ProcessLauncher() as launcher:
        training = launcher.launch(job, log)
        training_exit = None
        while training_exit is None:
            training_exit = training.wait(_POLL_SECS)
    yield build_table([training_exit], _EXIT)
