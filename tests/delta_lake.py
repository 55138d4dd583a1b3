"""Delta Lake's own reader and writer in Spark, for tests; also run as a program, see `run_steps`.

It is a process of its own, because the JVM of the other tests has no Delta Lake on its class path.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hadoop_cluster import cache
from halftone.spark.class_archive import SHORT_JOB_OPTIONS

# build.sh reads these: paths on Maven Central, for Spark 3.5.
SHA256 = {
    "io/delta/delta-spark_2.12/3.3.2/delta-spark_2.12-3.3.2.jar": "4e92085d5d794cf949c50bb665b91384857cad58680c2d0bfc9c7ad353e98e85",  # noqa: E501
    "io/delta/delta-storage/3.3.2/delta-storage-3.3.2.jar": "c096975a2ca97ccc9b4005aa5cce16c9ac3903139d340da6665b66ace67d7c36",  # noqa: E501
}
INSTALL = "./build.sh delta-lake"


def jars() -> list[Path]:
    return [cache() / Path(path).name for path in SHA256]


def is_available() -> bool:
    return all(path.exists() for path in jars())


def run_steps(module: str, folder: Path) -> dict[str, Any]:
    """Run the function `steps(session, folder)` of a module of the tests; return its result."""
    for path, sha256 in zip(jars(), SHA256.values()):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256, path
    tests = Path(__file__).parent
    folders = (str(tests), str(tests.parent / "lib"))
    process = subprocess.run(
        [sys.executable, __file__, module, str(folder)],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(folders),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_SUBMIT_OPTS": SHORT_JOB_OPTIONS,
        },
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


def _run(module: str, folder: Path) -> None:
    from importlib import import_module

    from pyspark.sql import SparkSession

    settings = {
        "spark.jars": ",".join(map(str, jars())),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.retentionDurationCheck.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.shuffle.partitions": "1",
        # VACUUM lists folders with so many tasks, by default 10,000.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    print(json.dumps(import_module(module).steps(session, folder)))
    session.stop()


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]))
