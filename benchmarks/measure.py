"""Runs one command to its end: wall time, peak memory of its processes, and its exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Optional

import psutil

_SAMPLE_EVERY_SECS = 0.2
_MIB = 2**20


class Run(NamedTuple):
    """What one run of a command took."""

    secs: float
    exit_code: Optional[int]  # None: it ran into the timeout and was ended
    python_peak_mib: float  # resident set of the largest Python process; shared pages count
    jvm_peak_mib: float  # of the largest JVM, 0 where there is none


def run(
    command: Sequence[str], log: Path, environment: Mapping[str, str], timeout_secs: float
) -> Run:
    """Run `command`, its output in the file `log`, and wait for it and for nothing it left."""
    with open(log, "wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,  # so that the whole family can be ended, and only it
        )
        memory = _Memory(process.pid)
        try:
            exit_code: Optional[int] = process.wait(timeout_secs)
        except subprocess.TimeoutExpired:
            exit_code = None
        finally:
            secs = time.perf_counter() - start
            memory.stop()
            _end_family(process)
    return Run(secs, exit_code, memory.python_bytes / _MIB, memory.jvm_bytes / _MIB)


def _end_family(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process group, so that it cannot disturb the next run."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Memory:
    """Samples the resident sets of a process and all below it, in a thread of its own."""

    def __init__(self, pid: int) -> None:
        self.python_bytes = self.jvm_bytes = 0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_done, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _sample_until_done(self) -> None:
        while not self._done.wait(_SAMPLE_EVERY_SECS):
            try:
                # Anew each time, for psutil remembers the executable, and spark-submit is a shell
                # that turns into a JVM.
                root = psutil.Process(self._pid)
                family = [root, *root.children(recursive=True)]
            except psutil.Error:
                return
            for process in family:
                self._note(process)

    def _note(self, process: psutil.Process) -> None:
        # By the executable and not by the title: Ray's workers call themselves ray::something.
        with suppress(psutil.Error, OSError):  # it ended between the listing and the look
            name = os.path.basename(process.exe())
            if name.startswith("python"):
                self.python_bytes = max(self.python_bytes, process.memory_info().rss)
            elif name == "java":
                self.jvm_bytes = max(self.jvm_bytes, process.memory_info().rss)


@contextmanager
def run_folder(work: Path) -> Iterator[Path]:
    """Yield a folder of its own below `work`, so that two benchmarks at once do not meet in it.

    It is removed at the end unless a log is left in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=work))
    try:
        yield folder
    finally:
        if list(folder.glob("*.log")):
            print(f"the logs of what failed are in {folder.name} of the work folder", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def warm(paths: Sequence[Path]) -> None:
    """Read all files once, so that no contestant finds a colder page cache than another."""
    for path in paths:
        path.read_bytes()


def drop_page_cache() -> bool:
    """Make the next run read from the disk; return whether this process may do that."""
    os.sync()
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1\n")
        return True
    return False
