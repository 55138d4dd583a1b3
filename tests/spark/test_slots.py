from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from halftone.errors import InputError
from halftone.spark.slots import count, wait_for


def test_slots_of_this_machine(spark: SparkSession) -> None:
    assert count(spark) == 2
    wait_for(spark, 2)
    with pytest.raises(InputError) as caught:
        wait_for(spark, 4)
    assert str(caught.value) == (
        "train.ranks is 4, but Spark has 2 slots to run them in at once; use train.ranks=2, or "
        "give Spark more executors or cores"
    )


# Three executors of two cores each, and of a GPU each, so to speak.
CLUSTER = """
import sys
from halftone import rank_task, spark_slots
from halftone.config import Spark
from halftone.errors import InputError
from halftone.session import num_cores, spark_session
amounts = {f"spark.{of}.resource.gpu.amount": "1" for of in ("worker", "executor", "task")}
scripts = {f"spark.{of}.resource.gpu.discoveryScript": sys.argv[1] for of in ("worker", "executor")}
conf = {"spark.executor.memory": "512m", "spark.ui.enabled": "false", **amounts, **scripts}
conf.update({f"spark.driver.{name}": "127.0.0.1" for name in ("host", "bindAddress")})
with spark_session("slots", Spark(master="local-cluster[3,2,512]", conf=conf)) as spark:
    print(num_cores(spark), "tasks at once")
    spark_slots.wait_for(spark, 3)
    print(spark_slots.count(spark), "of", spark.sparkContext.defaultParallelism, "cores")
    tasks = spark.sparkContext.parallelize(range(3), 3)
    shown = tasks.map(lambda _: rank_task.environment()["CUDA_VISIBLE_DEVICES"]).collect()
    print("GPUs that ranks are shown:", shown)
    spark_slots._WAIT_SECS = 0.0
    try:
        spark_slots.wait_for(spark, 4)
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_slots_of_a_cluster_with_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "gpus.sh"
    script.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["5"]}'\n""")
    script.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "SPARK_WORKER_DIR": str(tmp_path / "work")},
    )
    said = done.stdout.splitlines()
    assert all(line.startswith("waiting for executors") for line in said[:-4])
    assert said[-4:] == [
        "3 tasks at once",
        "3 of 6 cores",
        "GPUs that ranks are shown: ['5', '5', '5']",
        "train.ranks is 4, but Spark has 3 slots to run them in at once (a task takes 1 GPU of an "
        "executor's 1); use train.ranks=3, or give Spark more executors, cores or GPUs",
    ]
