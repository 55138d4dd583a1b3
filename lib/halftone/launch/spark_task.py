"""The Spark task of one rank: start the rank, and report to the driver how it ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pyarrow as pa
from pyspark import SparkFiles

from halftone.launch import rank
from halftone.launch.connection import DriverAddress, Handshake, encode_exit
from halftone.system import exit_status

_CONNECT_TIMEOUT_SECS = 60.0
_POLL_INTERVAL_SECS = 0.5
# The one column of what a task gets, and of what it returns.
NUMBER = "id"
NUMBERS = pa.schema([pa.field(NUMBER, pa.int64())])


def run_rank(driver: DriverAddress, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Run the rank of one task, in a Spark worker, until it has ended; yield nothing.

    Args:
        tables: a single row, with the number of the task.
    """
    (task_number,) = (number for table in tables for number in table[NUMBER].to_pylist())
    # ConnectionError: the driver has ended or needs no more ranks, so nobody reads a report.
    with ExitStack() as stack, suppress(ConnectionError):
        # Spark removes the folder of the application even if this task is killed.
        root = os.path.abspath(SparkFiles.getRootDirectory())
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=root))
        connection = stack.enter_context(
            socket.create_connection((driver.host, driver.port), _CONNECT_TIMEOUT_SECS)
        )
        connection.settimeout(None)
        oom_kills_before = exit_status.count_oom_kills()
        process = subprocess.Popen(
            [sys.executable, *rank.PYTHON_ARGUMENTS],
            env={**os.environ, **rank_environment(), "TMPDIR": folder},
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=subprocess.STDOUT,
        )
        handshake = Handshake(driver.token, task_number, socket.gethostname(), process.pid)
        with suppress(ConnectionError):
            connection.sendall(handshake.encode())
        exit_code = _wait_for_exit(process, connection)
        connection.sendall(encode_exit(exit_status.describe_exit(exit_code, oom_kills_before)))
    yield from ()


def rank_environment() -> dict[str, str]:
    """Return what a rank needs besides the worker's environment, which names the task's GPUs.

    This is the import path, which holds the packages of --py-files.
    """
    return {"PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path)}


def _wait_for_exit(process: subprocess.Popen[bytes], connection: socket.socket) -> int:
    """Return the exit code of the rank; kill it when the driver closes the connection."""
    while True:
        try:
            return process.wait(_POLL_INTERVAL_SECS)
        except subprocess.TimeoutExpired:
            with suppress(BlockingIOError):  # the connection is open and silent, as it should be
                if not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    process.kill()
