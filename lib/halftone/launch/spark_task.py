"""What a Spark task does to be a rank: start it, and tell the driver how it ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress

from pyspark import SparkFiles, TaskContext

from halftone.launch import rank
from halftone.launch.connection import DriverAddress, Handshake, encode_exit
from halftone.system import exit_status

_CONNECT_TIMEOUT_SECS = 60.0
_POLL_INTERVAL_SECS = 0.5


def run_rank(driver: DriverAddress, task_numbers: Iterable[int]) -> Iterator[None]:
    """Be the task of one number, in a Spark worker, until its rank has ended; yield nothing."""
    (number,) = task_numbers
    # The driver may be gone, or want no more ranks: nobody is left to tell of an error here.
    with ExitStack() as stack, suppress(ConnectionError):
        # In Spark's own folder for this application, which it removes even if this task is killed.
        root = os.path.abspath(SparkFiles.getRootDirectory())
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=root))
        connection = stack.enter_context(
            socket.create_connection((driver.host, driver.port), _CONNECT_TIMEOUT_SECS)
        )
        connection.settimeout(None)
        out_of_memory_before = exit_status.count_oom_kills()
        process = subprocess.Popen(
            [sys.executable, *rank.PYTHON_ARGUMENTS],
            env={**os.environ, **rank_environment(), "TMPDIR": folder},
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=subprocess.STDOUT,
        )
        hello = Handshake(driver.token, number, socket.gethostname(), process.pid)
        with suppress(ConnectionError):
            connection.sendall(hello.encode())
        how = exit_status.describe_exit(_wait_for_exit(process, connection), out_of_memory_before)
        connection.sendall(encode_exit(how))
    yield from ()


def rank_environment() -> dict[str, str]:
    """What a rank needs besides the worker's environment: packages of --py-files, and its GPUs."""
    found = {"PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path)}
    context = TaskContext.get()
    gpus = context.resources().get("gpu") if context else None
    if gpus is not None and "CUDA_VISIBLE_DEVICES" not in os.environ:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.addresses)
    return found


def _wait_for_exit(process: subprocess.Popen[bytes], connection: socket.socket) -> int:
    """Return the exit code of the rank; kill it when the driver hangs up."""
    while True:
        try:
            return process.wait(_POLL_INTERVAL_SECS)
        except subprocess.TimeoutExpired:
            with suppress(BlockingIOError):  # there is nothing to read: as it should be
                if not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    process.kill()
