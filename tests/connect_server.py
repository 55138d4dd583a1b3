"""A real Spark Connect server on this machine for tests: Spark's own, with two task slots."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from pyspark.sql import SparkSession

from halftone.spark import class_archive, connect_workers
from s3_server import KEY, REGION, SECRET

# build.sh reads these. Maven Central has no later version for Spark 3.5.
VERSION = "3.5.7"
SHA256 = "15366e21273a874c760b51fa00743a2acb8fa78642cc35d7a076a3ade0c5eef6"
INSTALL = "./build.sh connect-server"
_NAME = f"spark-connect_2.12-{VERSION}.jar"
_START_SECS = 60


class ConnectServer(NamedTuple):
    url: str  # sc://127.0.0.1:PORT
    log: Path


def jar() -> Path:
    """Return the path at which build.sh puts the server's jar."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halftone"
    return Path(os.environ.get("HALFTONE_CACHE") or cache) / "jars" / _NAME


@contextmanager
def running_server(work: Path, **environment: str) -> Iterator[ConnectServer]:
    """Run a server; its Python workers do not have this repository's package."""
    if not jar().exists():
        message = f"no Spark Connect server at {jar()}; fetch it with {INSTALL}"
        pytest.fail(message) if "CI" in os.environ else pytest.skip(message)
    assert hashlib.sha256(jar().read_bytes()).hexdigest() == SHA256
    port, log = _free_port(), work / "connect-server.log"
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.warehouse.dir": str(work / "warehouse"),
    }
    options = [f"--conf={name}={value}" for name, value in settings.items()]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).parent / "spark-submit"), "--master", "local[2, 4]"),
                *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
                *("--jars", str(jar()), *options, "spark-internal"),
            ],
            env=_server_environment() | environment,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_port(process, port, log)
        yield ConnectServer(f"sc://127.0.0.1:{port}", log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@contextmanager
def open_session(url: str) -> Iterator[SparkSession]:
    """Open a session that is not the active session of this process."""
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    session = cast(SparkSession, ConnectSession(url))
    connect_workers.prepare_workers(session)
    yield session
    session.stop()


def _server_environment() -> dict[str, str]:
    without = ("PYTHONPATH", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return {
        **{name: value for name, value in kept.items() if not name.startswith("FSSPEC_")},
        "PYSPARK_PYTHON": sys.executable,
        # Workers read the credentials of stores from the environment of the server.
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": class_archive.jvm_options(),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"the Spark Connect server did not start: {log.read_text()}")
