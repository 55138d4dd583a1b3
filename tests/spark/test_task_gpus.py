from __future__ import annotations

import os
from typing import Optional

import pytest
from pyspark import TaskContext
from pyspark.resource import ResourceInformation

from halftone.spark import task_gpus
from halftone.spark.task_gpus import name_task_gpus


def run_task(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> Optional[str]:
    """Return CUDA_VISIBLE_DEVICES in a task to which Spark has assigned GPUs."""
    resources = {"gpu": ResourceInformation("gpu", addresses)} if addresses else {}
    # TaskContext() would make itself the context of this process, and of the tests after this one.
    context = object.__new__(TaskContext)
    context._resources = resources
    monkeypatch.setattr(TaskContext, "_taskContext", context)
    name_task_gpus()
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        # A worker runs several tasks, and the environment of one does not outlive it.
        (None, ["5", "6,7", None, "5"]),
        # The executor keeps to the cards it was given.
        ("5,6,7", ["5", "6,7", "5,6,7", "5"]),
        ("1", ["1", "1", "1", "1"]),
        ("", ["", "", "", ""]),
    ],
)
def test_a_task_names_the_cards_that_spark_assigned(
    inherited: Optional[str], expected: list[Optional[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_gpus, "_last", None)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited or "")
    if inherited is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    tasks: list[list[str]] = [["5"], ["6", "7"], [], ["5"]]
    assert [run_task(monkeypatch, addresses) for addresses in tasks] == expected
