"""What a job ran on, as far as this process can see it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

_PACKAGES = ("tensorflow", "pyspark", "pyarrow", "numpy", "opencv-python-headless")


def describe_machine() -> dict[str, Any]:
    """Cores, memory in bytes, and versions by name; for the driver, where Spark has several."""
    return {
        "cores": os.cpu_count(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **package_versions(_PACKAGES)},
    }


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of installed packages, without those that are not."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a cluster's own build
            continue
    return found
