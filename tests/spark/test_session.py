from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from halftone.config import SparkSettings
from halftone.spark.session import num_cores, spark_session, submitted_conf


def test_a_session_that_is_there_is_borrowed_and_left_running(spark: SparkSession) -> None:
    with spark_session("other", SparkSettings(master="local[1]")) as borrowed:
        assert borrowed is spark
    assert spark.range(3).count() == 3
    assert num_cores(spark) == 2


def test_a_session_made_in_another_thread_is_borrowed_too(spark: SparkSession) -> None:
    def other() -> bool:
        assert SparkSession.getActiveSession() is None
        with spark_session("other", SparkSettings(master="local[1]")) as borrowed:
            return borrowed is spark

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(other).result()
    assert spark.range(3).count() == 3


OWN = """
from halftone.config import SparkSettings
from halftone.spark.session import num_cores, spark_session
settings = SparkSettings(master="local[3]", conf={"spark.sql.shuffle.partitions": "5"})
with spark_session("mine", settings) as session:
    conf = session.sparkContext.getConf()
    print(session.sparkContext.appName, num_cores(session))
    print(session.conf.get("spark.sql.shuffle.partitions"))
    print(session.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch"))
with spark_session("again", settings) as session:
    print(session.sparkContext.appName, session.range(4).count())
"""


def run(tmp_path: Path, *command: str) -> list[str]:
    """Run a command to its end; return the lines of its standard output."""
    folder = str(Path(sys.executable).parent)  # spark-submit takes the first python3 on the path
    environment = {
        **{name: value for name, value in os.environ.items() if name != "SPARK_SUBMIT_OPTS"},
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
    }
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_one_of_our_own_has_our_settings_and_is_stopped(tmp_path: Path) -> None:
    said = run(tmp_path, sys.executable, "-c", OWN)
    assert said == ["mine 3", "5", "128", "again 4"]
    assert list(tmp_path.iterdir()) == []


SUBMITTED = """
from halftone.config import SparkSettings
from halftone.spark.session import spark_session, submitted_conf
print(submitted_conf().get("spark.master"))
own = {"spark.sql.shuffle.partitions": "5", "spark.sql.session.timeZone": "UTC"}
with spark_session("mine", SparkSettings(master="local[3]", conf=own)) as session:
    context = session.sparkContext
    print(context.appName, context.master, context.uiWebUrl)
    print(session.conf.get("spark.sql.shuffle.partitions"), session.conf.get("spark.log.level"))
    print(session.conf.get("spark.sql.session.timeZone"))
"""


def test_what_spark_submit_was_told_wins_over_the_config(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SUBMITTED)
    submit = str(Path(sys.executable).parent / "spark-submit")
    told = ["--conf", "spark.sql.shuffle.partitions=7", "--conf", "spark.log.level=OFF"]
    said = run(tmp_path, submit, "--master", "local[1]", *told, str(script))
    # Without a user interface: that is a default of ours where Spark is local.
    assert said == ["local[1]", "mine local[1] None", "7 OFF", "UTC"]


JVM = """
from halftone.config import SparkSettings
from halftone.spark.session import spark_session
with spark_session("mine", SparkSettings(master="local[1]")) as session:
    runtime = session._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    options = list(runtime.getInputArguments())
    print(options.count("-XX:TieredStopAtLevel=1"), options.count("-XX:+UseSerialGC"))
"""


@pytest.mark.parametrize("by", ["python", "spark-submit"])
def test_the_jvm_is_one_for_little_work(tmp_path: Path, by: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(JVM)
    assert run(tmp_path, str(Path(sys.executable).parent / by), str(script)) == ["1 1"]


def test_a_process_of_its_own_was_not_submitted() -> None:
    assert submitted_conf() is None
