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


def test_an_existing_session_is_used_and_not_stopped(spark: SparkSession) -> None:
    with spark_session("other", SparkSettings(master="local[1]")) as session:
        assert session is spark
    assert spark.range(3).count() == 3
    assert num_cores(spark) == 2


def test_a_session_of_another_thread_is_used_too(spark: SparkSession) -> None:
    def use_in_thread() -> bool:
        assert SparkSession.getActiveSession() is None
        with spark_session("other", SparkSettings(master="local[1]")) as session:
            return session is spark

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(use_in_thread).result()
    assert spark.range(3).count() == 3


NEW_SESSION = """
from halftone.config import SparkSettings
from halftone.spark.session import num_cores, spark_session
settings = SparkSettings(master="local[3]", conf={"spark.sql.shuffle.partitions": "5"})
with spark_session("mine", settings) as session:
    conf = session.sparkContext.getConf()
    print(session.sparkContext.appName, num_cores(session))
    print(session.conf.get("spark.sql.shuffle.partitions"))
with spark_session("again", settings) as session:
    print(session.sparkContext.appName, session.range(4).count())
"""


def run(tmp_path: Path, *command: str) -> list[str]:
    """Run a command; return the lines of its standard output."""
    folder = str(Path(sys.executable).parent)  # spark-submit takes the first python3 on the path
    environment = {
        **{name: value for name, value in os.environ.items() if name != "SPARK_SUBMIT_OPTS"},
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
    }
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def test_a_new_session_has_the_settings_and_is_stopped(tmp_path: Path) -> None:
    lines = run(tmp_path, sys.executable, "-c", NEW_SESSION)
    assert lines == ["mine 3", "5", "again 4"]
    assert list(tmp_path.iterdir()) == []


SUBMITTED = """
from halftone.config import SparkSettings
from halftone.spark.session import spark_session, submitted_conf
print(submitted_conf().get("spark.master"))
conf = {"spark.sql.shuffle.partitions": "5", "spark.sql.session.timeZone": "UTC"}
with spark_session("mine", SparkSettings(master="local[3]", conf=conf)) as session:
    context = session.sparkContext
    print(context.appName, context.master, context.uiWebUrl)
    print(session.conf.get("spark.sql.shuffle.partitions"), session.conf.get("spark.log.level"))
    print(session.conf.get("spark.sql.session.timeZone"))
"""


def test_options_of_spark_submit_override_the_config(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SUBMITTED)
    submit = str(Path(sys.executable).parent / "spark-submit")
    options = ["--conf", "spark.sql.shuffle.partitions=7", "--conf", "spark.log.level=OFF"]
    lines = run(tmp_path, submit, "--master", "local[1]", *options, str(script))
    # No web UI: a default of Halftone for local Spark.
    assert lines == ["local[1]", "mine local[1] None", "7 OFF", "UTC"]


JVM = """
from halftone.config import SparkSettings
from halftone.spark.session import spark_session
with spark_session("mine", SparkSettings(master="local[1]")) as session:
    runtime = session._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    options = list(runtime.getInputArguments())
    print(options.count("-XX:TieredStopAtLevel=1"), options.count("-XX:+UseSerialGC"))
"""


@pytest.mark.parametrize("launcher", ["python", "spark-submit"])
def test_the_jvm_is_tuned_for_short_jobs(tmp_path: Path, launcher: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(JVM)
    assert run(tmp_path, str(Path(sys.executable).parent / launcher), str(script)) == ["1 1"]


def test_a_plain_process_has_no_submitted_conf() -> None:
    assert submitted_conf() is None
