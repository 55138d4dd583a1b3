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


# Two executors with two cores and a simulated GPU each, whose JVMs compile little.
CLUSTER = """
import sys
from halftone.config import SparkSettings
from halftone.errors import InputError
from halftone.launch import spark_task
from halftone.spark import slots
from halftone.spark.session import num_cores, spark_session
amounts = {f"spark.{owner}.resource.gpu.amount": "1" for owner in ("worker", "executor", "task")}
owners = ("worker", "executor")
scripts = {f"spark.{owner}.resource.gpu.discoveryScript": sys.argv[1] for owner in owners}
conf = {"spark.executor.memory": "512m", "spark.ui.enabled": "false", **amounts, **scripts}
conf["spark.executor.extraJavaOptions"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
conf.update({f"spark.driver.{name}": "127.0.0.1" for name in ("host", "bindAddress")})
with spark_session("slots", SparkSettings(master="local-cluster[2,2,512]", conf=conf)) as spark:
    print(num_cores(spark), "tasks at once")
    slots.wait_for_slots(spark, 2)
    print(slots._count_executors(spark, 4), "executors")
    print(slots.count_slots(spark), "of", spark.sparkContext.defaultParallelism, "cores")
    tasks = spark.sparkContext.parallelize(range(2), 2)
    devices = tasks.map(lambda _: spark_task.rank_environment()["CUDA_VISIBLE_DEVICES"]).collect()
    print("visible GPUs:", devices)
    slots._MAX_WAIT_SECS = 0.0
    try:
        slots.wait_for_slots(spark, 3)
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_slots_of_a_cluster_with_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "gpus.sh"
    script.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["5"]}'\n""")
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
    assert all(line.startswith("waiting for executors") for line in lines[:-5])
    assert lines[-5:] == [
        "2 tasks at once",
        "2 executors",
        "2 of 4 cores",
        "visible GPUs: ['5', '5']",
        "train.ranks is 3, but Spark has 2 slots to run them in at once (a task takes 1 of an "
        "executor's 1 GPUs); use train.ranks=2, or give Spark more executors, cores or GPUs",
    ]
