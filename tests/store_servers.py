"""Servers of stores on this machine, besides versitygw: build.sh installs them once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from s3_server import free_port, program, wait_for_port

# build.sh reads these. The checksums are those of Go modules; npm checks Azurite and what it needs
# against conf/build/azurite/package-lock.json.
FAKE_GCS_SERVER_VERSION = "v1.56.1"
FAKE_GCS_SERVER_CHECKSUM = "h1:K03sAvbLvDz4hAynpCCUqnNRp+ik9JFSvHbkD/wTPOU="
GOFAKES3_VERSION = "v1.2.0"
GOFAKES3_CHECKSUM = "h1:I9VEzPWvvAUAGzDlhYFoZjF0AXMlkcEyZlmBwiI6Oms="
AZURITE_VERSION = "3.35.0"
INSTALL = "./build.sh store-servers"

# Invented, as those of s3_server.
AZURE_ACCOUNT, AZURE_KEY = "loopback", "bG9vcGJhY2sta2V5LTdjOWExZg=="

_BIN = program().parent
FAKE_GCS_SERVER = _BIN / f"fake-gcs-server-{FAKE_GCS_SERVER_VERSION}"
GOFAKES3 = _BIN / f"gofakes3-{GOFAKES3_VERSION}"
AZURITE = _BIN / f"azurite-{AZURITE_VERSION}" / "node_modules/azurite/dist/src/blob/main.js"


@contextmanager
def gcs_server(work: Path) -> Iterator[int]:
    """Serve an empty Google Cloud Storage on 127.0.0.1; yield the port."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # Without `public-host` it would take 127.0.0.1 for the name of a bucket.
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    options += ["-public-host", f"127.0.0.1:{port}", "-external-url", url, "-log-level", "error"]
    with _run([str(FAKE_GCS_SERVER), *options], work, port, {}):
        yield port


@contextmanager
def second_s3_server(work: Path, *options: str) -> Iterator[int]:
    """Serve an empty S3 store, which is not that of `s3_server`, on 127.0.0.1; yield the port."""
    port = free_port()
    command = [str(GOFAKES3), "-backend", "memory", "-host", f"127.0.0.1:{port}", *options]
    with _run(command, work, port, {}):
        yield port


@contextmanager
def azure_server(work: Path) -> Iterator[int]:
    """Serve an empty account of Azure Blob Storage on 127.0.0.1; yield the port."""
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
    options += ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    account = {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"}
    with _run(["node", str(AZURITE), *options], work, port, account):
        yield port


@contextmanager
def _run(
    command: Sequence[str], work: Path, port: int, environment: dict[str, str]
) -> Iterator[None]:
    with open(work / "store-server.log", "wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_port(process, port)
        yield
    finally:
        process.terminate()
        process.wait()
