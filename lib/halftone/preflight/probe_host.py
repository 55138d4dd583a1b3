"""Inspect a host from its Python process: the driver, or a worker of an executor."""

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
from halftone.system import cores, interfaces, machine

GLOO = "gloo"
PACKAGES = (
    *("tensorflow", "horovod", "petastorm", "pyarrow", "numpy", "pandas"),
    *("opencv-python-headless", "simplejpeg", "fsspec"),
)
_HOROVOD_PROGRAM = (
    "import horovod.tensorflow as hvd; print('gloo' if hvd.gloo_built() else 'no gloo')"
)
_HOROVOD_TIMEOUT_SECS = 300.0  # TensorFlow may have to be loaded over a slow network


class HostReport(NamedTuple):
    name: str
    versions: dict[str, str]  # of installed packages, Python and Java
    cores: int
    memory_bytes: int
    gpus: int
    horovod: str  # GLOO, or what is wrong; "" if it was not inspected
    stores: dict[str, str]  # errors by URL, see probe_storage.check_urls
    prefix: str  # of Python
    package: str  # folder of Halftone's modules
    folder: str  # the working directory
    network_problem: str = ""  # why ranks there cannot connect to others
    missing_formats: str = ""  # image formats whose decoders are not there
    # CUDA_VISIBLE_DEVICES, where Spark's assignment is too; None if it is not set.
    named_gpus: Optional[str] = None


def inspect_host(
    name: str, java_version: Optional[str], probe: StorageProbe, needs_horovod: bool
) -> HostReport:
    """Inspect the host from this process.

    Args:
        name: name for the report.
        java_version: version of Java, "" if it is unknown; None finds that of the JVM that started
            this process.
        probe: the URLs to check.
        needs_horovod: whether to inspect Horovod's build.
    """
    description = machine.describe_machine()
    java = _parent_java_version() if java_version is None else java_version
    versions = {**description["versions"], **machine.package_versions(PACKAGES)}
    return HostReport(
        name=name,
        versions={**versions, **({"java": java} if java else {})},
        cores=cores.num_threads(1),
        memory_bytes=description["memory_bytes"],
        gpus=count_gpus(),
        horovod=_horovod_status() if needs_horovod else "",
        stores=probe_storage.check_urls(probe, re.sub(r"\W", "-", name)),
        prefix=sys.prefix,
        package=os.path.abspath(os.path.dirname(halftone.__file__)),
        folder=os.getcwd(),
        network_problem=interfaces.rank_network_problem(),
        missing_formats=_missing_formats(),
        named_gpus=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def count_gpus() -> int:
    """Return the number of NVIDIA cards that this process can open: /dev/nvidia0 and so on."""
    return sum(path.name[len("nvidia") :].isdigit() for path in Path("/dev").glob("nvidia*"))


def _missing_formats() -> str:
    try:
        from halftone.images.decoder_packages import missing_titles
    except ImportError:  # of a package that every host needs, which `versions` tells
        return ""
    return ", ".join(missing_titles())


def executor_name() -> str:
    """Return a unique name for the executor that this worker belongs to."""
    parent = _find_parent_java()
    return f"{socket.gethostname()}, pid {parent.pid if parent else os.getppid()}"


def _find_parent_java() -> Optional[psutil.Process]:
    parents = psutil.Process().parents()
    return next((process for process in parents if process.name() == "java"), None)


def _parent_java_version() -> str:
    """Return the version of the parent JVM; "" if there is none or it is another user's."""
    try:
        parent = _find_parent_java()
        command = [parent.exe(), "-version"] if parent else ["false"]
        output = subprocess.run(command, capture_output=True, text=True).stderr
    except (psutil.Error, OSError):
        return ""
    match = re.search(r'version "([^"]+)"', output)
    return match.group(1) if match else ""


def _horovod_status() -> str:
    """Return GLOO, or why Horovod cannot be used. It is imported in a subprocess, like a rank."""
    path = os.pathsep.join(path for path in sys.path if path)
    try:
        completed = subprocess.run(
            [sys.executable, "-c", _HOROVOD_PROGRAM],
            env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=_HOROVOD_TIMEOUT_SECS,
        )
    except subprocess.TimeoutExpired:
        return f"did not load within {_HOROVOD_TIMEOUT_SECS:.0f} s"
    output = (completed.stdout if completed.returncode == 0 else completed.stderr).strip()
    return output.splitlines()[-1] if output else f"ended with exit code {completed.returncode}"
