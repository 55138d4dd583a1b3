"""Describe the machine and the software versions that a job runs on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("tensorflow", "pyspark", "pyarrow", "numpy", "opencv-python-headless")


def describe_machine() -> dict[str, Any]:
    """Return cores, memory in bytes, and versions; of the driver, if Spark runs on a cluster."""
    return {
        "cores": os.cpu_count(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **package_versions(_PACKAGES)},
    }


def usable_memory_bytes() -> int:
    """Return the memory of this machine, or the limit of this process's container if lower."""
    limits = [int(psutil.virtual_memory().total)]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):  # no such cgroup, or "max"
            continue
    return min(limits)


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of packages by name, without those that are not installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # some clusters have their own builds
            continue
    return versions
