from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from halftone.config import Spark
from halftone.session import num_cores, spark_session


def test_a_session_that_is_there_is_borrowed_and_left_running(spark: SparkSession) -> None:
    with spark_session("other", Spark(master="local[1]")) as borrowed:
        assert borrowed is spark
    assert spark.range(3).count() == 3
    assert num_cores(spark) == 2


OWN = """
from halftone.config import Spark
from halftone.session import num_cores, spark_session
settings = Spark(master="local[3]", conf={"spark.sql.shuffle.partitions": "5"})
with spark_session("mine", settings) as session:
    conf = session.sparkContext.getConf()
    print(session.sparkContext.appName, num_cores(session))
    print(session.conf.get("spark.sql.shuffle.partitions"))
    print(session.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch"))
with spark_session("again", settings) as session:
    print(session.sparkContext.appName, session.range(4).count())
"""


def test_one_of_our_own_has_our_settings_and_is_stopped(tmp_path: Path) -> None:
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", OWN],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == ["mine 3", "5", "128", "again 4"]
    assert list(tmp_path.iterdir()) == []
