from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from halftone.errors import InputError
from halftone.spark.slots import count_slots, wait_for_slots


def test_slots_of_this_machine(spark: SparkSession) -> None:
    assert count_slots(spark) == 2
    wait_for_slots(spark, 2)
    with pytest.raises(InputError) as caught:
        wait_for_slots(spark, 4)
    assert str(caught.value) == (
        "train.ranks is 4, but Spark has 2 slots to run them in at once; use train.ranks=2, or "
        "give Spark more executors or cores"
    )


# Two executors with three cores and two simulated GPUs each, whose JVMs compile little.
CLUSTER = """
import os
import sys
from pyspark import TaskContext
from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests
from halftone.config import SparkSettings
from halftone.errors import InputError
from halftone.spark import slots
from halftone.spark.class_archive import SHORT_JOB_OPTIONS
from halftone.spark.task_gpus import name_task_gpus
from halftone.spark.session import num_cores, spark_session
def visible_gpus(_):
    name_task_gpus()
    assigned = ",".join(TaskContext.get().resources()["gpu"].addresses)
    return os.environ["CUDA_VISIBLE_DEVICES"], assigned
def run_tasks(tasks):
    visible, assigned = zip(*tasks.map(visible_gpus).collect())
    print("visible GPUs:", sorted(visible), "as assigned" if visible == assigned else assigned)
owners = ("worker", "executor")
amounts = {f"spark.{owner}.resource.gpu.amount": "2" for owner in owners}
amounts["spark.task.resource.gpu.amount"] = "1"
scripts = {f"spark.{owner}.resource.gpu.discoveryScript": sys.argv[1] for owner in owners}
conf = {"spark.executor.memory": "512m", "spark.ui.enabled": "false", **amounts, **scripts}
conf["spark.executor.extraJavaOptions"] = SHORT_JOB_OPTIONS
conf.update({f"spark.driver.{name}": "127.0.0.1" for name in ("host", "bindAddress")})
with spark_session("slots", SparkSettings(master="local-cluster[2,3,512]", conf=conf)) as spark:
    slots.wait_for_slots(spark, 4)
    print(num_cores(spark), "tasks at once")
    print(slots._count_executors(spark, 6), "executors")
    print(slots.count_slots(spark), "of", spark.sparkContext.defaultParallelism, "cores")
    tasks = spark.sparkContext.parallelize(range(4), 4).barrier().mapPartitions(lambda rows: rows)
    run_tasks(tasks)
    run_tasks(tasks)  # in the same workers, to which Spark may assign other cards
    quarter = TaskResourceRequests().resource("gpu", 0.25)
    run_tasks(tasks.withResources(ResourceProfileBuilder().require(quarter).build))
    slots._MAX_WAIT_SECS = 0.0
    try:
        slots.wait_for_slots(spark, 5)
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_slots_of_a_cluster_with_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "gpus.sh"
    script.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["5", "GPU-6"]}'\n""")
    script.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    process = subprocess.run(
        [sys.executable, "-c", CLUSTER, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "SPARK_WORKER_DIR": str(tmp_path / "work")},
    )
    lines = process.stdout.splitlines()
    assert all(line.startswith("waiting for executors") for line in lines[:-7])
    assert lines[-7:] == [
        "4 tasks at once",
        "2 executors",
        "4 of 6 cores",
        *["visible GPUs: ['5', '5', 'GPU-6', 'GPU-6'] as assigned"] * 3,
        "train.ranks is 5, but Spark has 4 slots to run them in at once (a task takes 1 of an "
        "executor's 2 GPUs); use train.ranks=4, or give Spark more executors, cores or GPUs",
    ]
