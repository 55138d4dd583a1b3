"""A real S3 server on this machine for benchmarks and tests: versitygw on a local folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import s3fs

# build.sh reads these. CHECKSUM is the Go module checksum of the sources.
VERSION = "v1.8.0"
CHECKSUM = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc="
INSTALL = "./build.sh s3-server"

# Invented credentials: the server listens on loopback and ends with the process that started it.
KEY, SECRET, REGION = "loopback-key", "loopback-secret-7c9a1f", "us-east-1"
_START_SECS = 30


def program() -> Path:
    """Return the path at which build.sh installs the server."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halftone"
    return Path(os.environ.get("HALFTONE_CACHE") or cache) / "bin" / f"versitygw-{VERSION}"


@contextmanager
def s3_server(program: Path, work: Path) -> Iterator[int]:
    """Serve an empty store below `work` on 127.0.0.1; yield the port, and remove the store on exit.

    The folder must be on a filesystem with extended attributes.
    """
    folder = Path(tempfile.mkdtemp(prefix="s3-", dir=work))
    port = free_port()
    account = {**os.environ, "ROOT_ACCESS_KEY_ID": KEY, "ROOT_SECRET_ACCESS_KEY": SECRET}
    options = ["--port", f"127.0.0.1:{port}", "--region", REGION, "--keep-alive", "--quiet"]
    with open(work / "s3-server.log", "wb") as log:
        process = subprocess.Popen(
            [str(program), *options, "posix", str(folder)],
            env=account,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_port(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def upload(port: int, folder: Path, names: list[str], bucket: str) -> None:
    """Upload files to a new bucket, without a proxy."""
    store = s3fs.S3FileSystem(endpoint_url=f"http://127.0.0.1:{port}", key=KEY, secret=SECRET)
    store.mkdir(bucket)
    store.pipe({f"{bucket}/{name}": (folder / name).read_bytes() for name in names})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("error: the server of the store did not start; see its log in the work folder")
