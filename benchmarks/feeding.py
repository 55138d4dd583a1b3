"""Control of a feeding process (feeder.py): start it once, and request passes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_FEEDER = Path(__file__).resolve().parent / "feeder.py"


class PassCost(NamedTuple):
    """Rows, time and memory of one pass."""

    rows: int
    secs: float
    cpu_secs: float  # of all threads
    peak_mib: float  # peak resident set of the process since its start


class FeedingError(Exception):
    """A feeder ended or did not answer in time; its log has the reason."""


class Feeding:
    """A running feeder."""

    def __init__(self, process: subprocess.Popen[str], timeout_secs: float) -> None:
        self._process, self._timeout_secs = process, timeout_secs

    def run_pass(self) -> PassCost:
        """Request a pass and wait for its end.

        Raises:
            FeedingError: the feeder ended or took too long.
        """
        timer = threading.Timer(self._timeout_secs, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write("pass\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if not answer:
            raise FeedingError(f"exit code {self._process.wait()}")
        return PassCost(**json.loads(answer))


@contextmanager
def feeding(
    arguments: list[str],
    log: Path,
    environment: Mapping[str, str],
    timeout_secs: float,
    cores: Sequence[int] = (),
) -> Iterator[Feeding]:
    """Start a feeder, and end it on exit; the log is kept if it failed.

    Args:
        cores: those that it may use; default: all. Needs Linux and its taskset.
    """
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    with (
        open(log, "w", encoding="utf-8") as errors,
        subprocess.Popen(
            [*pinned, sys.executable, str(_FEEDER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            text=True,
        ) as process,
    ):
        try:
            yield Feeding(process, timeout_secs)
        finally:
            has_failed = process.poll() is not None
            process.kill()
    if not has_failed:
        log.unlink()
