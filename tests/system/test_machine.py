from __future__ import annotations

import importlib.metadata
import os
import platform

import psutil
import pytest

from halftone.system import machine


def test_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    found = machine.describe_machine()
    assert found["cores"] == 12
    assert found["memory_bytes"] == psutil.virtual_memory().total
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["pyspark"] == importlib.metadata.version("pyspark")


def test_a_package_that_pip_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        if name == "tensorflow":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(machine, "version", unknown)
    assert sorted(machine.describe_machine()["versions"]) == [
        *("numpy", "opencv-python-headless", "pyarrow", "pyspark", "python"),
    ]
