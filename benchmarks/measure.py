"""Run a command and measure its wall time, the peak memory of its processes, and its exit code."""

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
    """Time, exit code and memory of one run of a command."""

    secs: float
    exit_code: Optional[int]  # None: timed out
    python_peak_mib: float  # resident set of the largest Python process, with shared pages
    jvm_peak_mib: float  # resident set of the largest JVM; 0 if there is none


def run(
    command: Sequence[str], log: Path, environment: Mapping[str, str], timeout_secs: float
) -> Run:
    """Run `command` with its output in the file `log`; kill the processes that it leaves."""
    with open(log, "wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,  # a process group of its own, for kill_group
        )
        memory = _Memory(process.pid)
        try:
            exit_code: Optional[int] = process.wait(timeout_secs)
        except subprocess.TimeoutExpired:
            exit_code = None
        finally:
            secs = time.perf_counter() - start
            memory.stop()
            kill_group(process)
    return Run(secs, exit_code, memory.python_bytes / _MIB, memory.jvm_bytes / _MIB)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the rest of the process group, so that it cannot disturb the next run."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Memory:
    """Samples the resident sets of a process and its descendants, in a separate thread."""

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
                # A new object each time: psutil caches the executable, and spark-submit is a shell
                # that replaces itself with a JVM.
                root = psutil.Process(self._pid)
                processes = [root, *root.children(recursive=True)]
            except psutil.Error:
                return
            for process in processes:
                self._record(process)

    def _record(self, process: psutil.Process) -> None:
        # By executable, not by process title: Ray's workers have the title ray::NAME.
        with suppress(psutil.Error, OSError):  # the process has ended since the listing
            name = os.path.basename(process.exe())
            if name.startswith("python"):
                self.python_bytes = max(self.python_bytes, process.memory_info().rss)
            elif name == "java":
                self.jvm_bytes = max(self.jvm_bytes, process.memory_info().rss)


@contextmanager
def run_folder(work: Path) -> Iterator[Path]:
    """Yield a new folder below `work`, so that concurrent benchmarks do not interfere.

    The folder is removed at the end unless it contains a log.
    """
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=work))
    try:
        yield folder
    finally:
        if list(folder.glob("*.log")):
            print(f"the logs of failed runs are in {folder.name} of the work folder", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def warm_page_cache(paths: Sequence[Path]) -> None:
    """Read all files once, so that all contestants find a warm page cache."""
    for path in paths:
        path.read_bytes()


def drop_page_cache() -> bool:
    """Drop the page cache, so that the next run reads from the disk.

    Returns:
        Whether this process is allowed to.
    """
    os.sync()
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1\n")
        return True
    return False
