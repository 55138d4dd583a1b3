"""A process that runs trainings of an experiment, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Optional

from halftone.experiment import trial
from halftone.launch import spark_task
from halftone.system import exit_status

TrainingJob = Mapping[str, Any]
# The JVM of a process that was killed ends on its own, and may hold its output open until then.
_OUTPUT_END_SECS = 5.0
_PROCESS_END_SECS = 60.0  # to stop Spark and to finalise TensorFlow


class TrainingExit(NamedTuple):
    """How a training ended."""

    exit_code: int
    message: str  # last output line of a training that failed, or how its process was killed


class _Output(NamedTuple):
    """Where the output of a training goes, and how its end is known."""

    end_mark: str
    file: IO[bytes]
    path: Path


class TrainingProcess:
    """A process of halftone.experiment.trial. Its methods are called by one thread.

    Args:
        job: The first training, which determines the cores of the process.
    """

    def __init__(self, job: TrainingJob) -> None:
        self._kind = process_kind(job)
        self._process = subprocess.Popen(
            [sys.executable, *trial.COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_process_environment(),
        )
        self._output: Optional[_Output] = None
        self._end_code: Optional[int] = None  # of the current training, once it has ended
        self._output_ended = threading.Event()  # of the current training
        self._is_reusable = False  # what the process says after a training
        # A pipe, not the log itself: Spark's processes keep the output of their start for ever.
        self._copier = threading.Thread(target=self._copy_output, daemon=True)
        self._copier.start()

    def is_reusable(self) -> bool:
        """Return whether the process, which has no training, can take another one."""
        return self._kind is not None and self._is_reusable and self._process.poll() is None

    def can_run(self, job: TrainingJob) -> bool:
        """Return whether a training can run in this process."""
        return self.is_reusable() and self._kind == process_kind(job)

    def start(self, job: TrainingJob, log: Path) -> None:
        """Start a training, with its output in the file `log`."""
        mark = uuid.uuid4().hex
        self._oom_kills_before = exit_status.count_oom_kills()
        self._end_code, self._is_reusable = None, False
        self._output_ended.clear()
        self._output = _Output(mark, log.open("wb"), log)
        # stdin stays open: the process exits when it is closed, also if this process is killed.
        self._send(trial.encode_job({**job, "end_mark": mark}))

    def wait(self, secs: float) -> Optional[TrainingExit]:
        """Wait for the end of the training, at most `secs`; return None if it still runs."""
        if not self._output_ended.wait(secs) and self._process.poll() is None:
            return None
        if self._end_code is None:  # the process has ended, or closed its output
            self._end_code = self._process.wait()
            self._copier.join(_OUTPUT_END_SECS)
        assert self._output is not None
        self._output.file.close()
        output, self._output = self._output, None
        code = self._end_code
        message = (
            exit_status.describe_exit(code, self._oom_kills_before)
            if code < 0
            else _last_line(output.path)
        )
        return TrainingExit(code, message if code else "")

    def terminate(self) -> None:
        self._process.terminate()

    def end(self) -> None:
        """End the process, which has no training, and wait until it has ended."""
        self._send(trial.encode_end())
        try:
            self._process.wait(_PROCESS_END_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended: `wait` reports that
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _copy_output(self) -> None:
        """Copy the output of each training to its log, up to the line with its mark."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            output = self._output
            if output is None:  # between two trainings
                continue
            text, mark, end = line.partition(output.end_mark.encode())
            with suppress(ValueError):  # the file was closed after the end of the process
                output.file.write(text)
                output.file.flush()
            if mark:
                code, is_reusable = json.loads(end)
                self._end_code, self._is_reusable = code, is_reusable
                self._output_ended.set()
        self._process.stdout.close()
        self._output_ended.set()


def process_kind(job: TrainingJob) -> Optional[str]:
    """Describe what trainings of one process share; None if the training needs its own process."""
    settings = job["config"]
    # Ranks are processes anyway. A network of the user's own code may keep state of any kind.
    if settings["train"]["ranks"] > 1 or settings["train"]["model"]["name"] == "custom":
        return None
    shared = [job["slot"], job["parallel"], job["environment"]]
    return json.dumps([*shared, settings["spark"], settings["storage"]], sort_keys=True)


def _process_environment() -> dict[str, str]:
    """Return this process's environment without spark-submit's JVM: a training starts its own."""
    inherited = {name: value for name, value in os.environ.items() if "PYSPARK_GATEWAY" not in name}
    return {**inherited, **spark_task.rank_environment()}


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
