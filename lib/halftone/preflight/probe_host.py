"""What a check sees where it looks: on the driver, and in the Python of each executor."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Optional

import psutil

import halftone
from halftone.preflight import probe_storage
from halftone.preflight.probe_storage import StorageProbe
from halftone.system import cores, machine

GLOO = "gloo"
PACKAGES = (
    *("tensorflow", "horovod", "petastorm", "pyarrow", "numpy", "pandas"),
    *("opencv-python-headless", "simplejpeg", "fsspec"),
)
_HOROVOD_PROGRAM = (
    "import horovod.tensorflow as hvd; print('gloo' if hvd.gloo_built() else 'no gloo')"
)
_HOROVOD_TIMEOUT_SECS = 300.0  # TensorFlow's files may have to come over a slow network


class HostReport(NamedTuple):
    name: str
    versions: dict[str, str]  # of what is there
    cores: int
    memory_bytes: int
    gpus: int
    horovod: str  # GLOO, or what is wrong; empty where it was not looked at
    stores: dict[str, str]  # see check_store.answers
    prefix: str  # of Python
    package: str  # where Halftone's modules are
    folder: str  # the working directory


def inspect_host(
    name: str, java_version: Optional[str], probe: StorageProbe, needs_horovod: bool
) -> HostReport:
    """Look around in this process.

    Args:
        java: Java's version; None: of the JVM above this process.
    """
    own = machine.describe_machine()
    found_java = java_version or _parent_java_version()
    versions = {**own["versions"], **machine.package_versions(PACKAGES)}
    return HostReport(
        name=name,
        versions={**versions, **({"java": found_java} if found_java else {})},
        cores=cores.num_threads(1),
        memory_bytes=own["memory_bytes"],
        gpus=sum(path.name[len("nvidia") :].isdigit() for path in Path("/dev").glob("nvidia*")),
        horovod=_horovod_status() if needs_horovod else "",
        stores=probe_storage.check_urls(probe, re.sub(r"\W", "-", name)),
        prefix=sys.prefix,
        package=os.path.abspath(os.path.dirname(halftone.__file__)),
        folder=os.getcwd(),
    )


def executor_name() -> str:
    """A name for the executor that this worker belongs to, which no other one has."""
    jvm = _parent_jvm()
    return f"{socket.gethostname()}, pid {jvm.pid if jvm else os.getppid()}"


def _parent_jvm() -> Optional[psutil.Process]:
    return next((one for one in psutil.Process().parents() if one.name() == "java"), None)


def _parent_java_version() -> str:
    """The version of the JVM above; empty where there is none, or it is another user's."""
    try:
        jvm = _parent_jvm()
        command = [jvm.exe(), "-version"] if jvm else ["false"]
        said = subprocess.run(command, capture_output=True, text=True).stderr
    except (psutil.Error, OSError):
        return ""
    found = re.search(r'version "([^"]+)"', said)
    return found.group(1) if found else ""


def _horovod_status() -> str:
    """GLOO, or why Horovod cannot be used; found out in a process of its own, as a rank is."""
    path = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _HOROVOD_PROGRAM],
            env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=_HOROVOD_TIMEOUT_SECS,
        )
    except subprocess.TimeoutExpired:
        return f"did not load within {_HOROVOD_TIMEOUT_SECS:.0f} s"
    said = (done.stdout if done.returncode == 0 else done.stderr).strip()
    return said.splitlines()[-1] if said else f"ended with exit code {done.returncode}"
