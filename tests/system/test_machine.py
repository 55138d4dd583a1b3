from __future__ import annotations

import importlib.metadata
import os
import platform

import psutil
import pytest

from halftone.system import machine


def test_describe_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    description = machine.describe_machine()
    assert description["cores"] == 12
    assert description["memory_bytes"] == psutil.virtual_memory().total
    assert description["versions"]["python"] == platform.python_version()
    assert description["versions"]["pyspark"] == importlib.metadata.version("pyspark")


def test_a_package_without_metadata_is_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def version_or_error(name: str) -> str:
        if name == "tensorflow":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(machine, "version", version_or_error)
    assert sorted(machine.describe_machine()["versions"]) == [
        *("numpy", "opencv-python-headless", "pyarrow", "pyspark", "python"),
    ]
