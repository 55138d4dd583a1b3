"""The archive of Spark's classes: both ways to start Spark use it, and neither depends on it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ODD_NAME
from halftone.spark import class_archive

JOB = """
from halftone.config import SparkSettings
from halftone.spark.session import spark_session
with spark_session("job", SparkSettings(master="local[1]")) as session:
    print(session.range(3).count())
"""


def run_job(launcher: str, tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    folder = str(Path(sys.executable).parent)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SPARK_")},
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        **variables,
    }
    return subprocess.run(
        [f"{folder}/{launcher}", str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        cwd=tmp_path,
        check=True,
    )


def loaded_from(launcher: str, tmp_path: Path, **variables: str) -> str:
    """Run a job; return where its JVM loaded the class SparkContext from."""
    log = f"-Xlog:class+load:file={tmp_path}/classes-%p.log"
    assert run_job(launcher, tmp_path, JDK_JAVA_OPTIONS=log, **variables).stdout == "3\n"
    lines = "\n".join(path.read_text() for path in tmp_path.glob("classes-*.log")).splitlines()
    (line,) = (line for line in lines if " org.apache.spark.SparkContext source: " in line)
    return line.partition(" source: ")[2]


@pytest.mark.parametrize("launcher", ["python", "spark-submit"])
def test_spark_loads_its_classes_from_the_archive(launcher: str, tmp_path: Path) -> None:
    assert class_archive.ARCHIVE.is_file(), "./build.sh setup writes it"
    assert loaded_from(launcher, tmp_path) == "shared objects file (top)"


def test_an_archive_for_another_class_path_is_ignored(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text("spark.app.id  from-this-folder\n")
    options = class_archive.jvm_options()
    source = loaded_from("python", tmp_path, SPARK_CONF_DIR=str(conf), SPARK_SUBMIT_OPTS=options)
    assert source.endswith("/spark-core_2.12-3.5.9.jar")


def test_options_in_a_folder_of_any_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Spark splits options as a shell does; log4j reads the file of a URI."""
    folder = tmp_path / f"{ODD_NAME},\\+"
    folder.mkdir()
    for name in ("_LOGGING", "ARCHIVE"):
        monkeypatch.setattr(class_archive, name, folder / name)
        (folder / name).touch()
    _, _, logging, archive, _ = shlex.split(class_archive.jvm_options())
    assert archive == f"-XX:SharedArchiveFile={folder}/ARCHIVE"
    name, _, uri = logging.partition("=")
    assert name == "-Dlog4j2.configurationFile"
    assert uri.startswith(f"file://{tmp_path}/a%20%23%3F%2520%5B1%5D%2A%26%27%22%C3%BC%F0%9F%98%80")
    assert uri.endswith("%20b%2C%5C%2B/_LOGGING")


@pytest.mark.parametrize(("folder", "is_written"), [("pyspark", True), ("py spark", False)])
def test_spark_env_only_where_the_scripts_of_spark_can_source_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, is_written: bool
) -> None:
    monkeypatch.setattr(class_archive.pyspark, "__file__", str(tmp_path / folder / "__init__.py"))
    script = tmp_path / folder / "conf" / "spark-env.sh"
    script.parent.mkdir(parents=True)
    script.write_text("of an earlier setup")
    class_archive.write_spark_env()
    assert script.exists() == is_written
    # As bin/load-spark-env.sh of Spark does it.
    source = 'export SPARK_CONF_DIR=${1%/*}; if [[ -f "$1" ]]; then . $1; fi'
    sourced = subprocess.run(
        ["bash", "-c", source, "-", script],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert (sourced.returncode, sourced.stderr) == (0, "")


@pytest.mark.slow
def test_a_missing_archive_changes_no_output(tmp_path: Path) -> None:
    options = f'-XX:SharedArchiveFile="{tmp_path}/missing.jsa"'
    without, missing = (
        run_job("python", tmp_path, SPARK_SUBMIT_OPTS=value)
        for value in ("-XX:TieredStopAtLevel=1", f"-XX:TieredStopAtLevel=1 {options}")
    )
    assert missing.stdout == without.stdout == "3\n"
    assert without_times(missing.stderr) == without_times(without.stderr)


def without_times(log: str) -> list[str]:
    return [line.partition(" WARN ")[2] or line for line in log.splitlines()]


def test_the_options_name_the_archive_only_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a folder" / "classes.jsa"
    monkeypatch.setattr(class_archive, "ARCHIVE", archive)
    logging = Path(class_archive.__file__).with_name("log4j2.properties").as_uri()
    always = f'-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.configurationFile="{logging}"'
    assert class_archive.jvm_options() == always
    archive.parent.mkdir()
    archive.touch()
    assert class_archive.jvm_options() == (
        f'{always} -XX:SharedArchiveFile="{archive}" -Xlog:cds=off,cds+dynamic=off'
    )


def test_spark_submit_gets_the_java_that_set_up_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remembered = tmp_path / "java home"
    monkeypatch.setattr(class_archive, "REMEMBERED", remembered)
    monkeypatch.setattr(class_archive.pyspark, "__file__", str(tmp_path / "__init__.py"))
    class_archive.write_spark_env()

    def java_home(**variables: str) -> str:
        # As bin/load-spark-env.sh of Spark does it.
        code = f"set -a; . {tmp_path}/conf/spark-env.sh; set +a; printenv JAVA_HOME || true"
        environment = {"PATH": os.environ["PATH"], "SPARK_CONF_DIR": "/nowhere", **variables}
        command = ["bash", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return done.stdout

    assert java_home() == ""
    remembered.write_text("/opt/jdk 17\n")
    assert java_home() == "/opt/jdk 17\n"
    assert java_home(JAVA_HOME="/opt/own") == "/opt/own\n"
