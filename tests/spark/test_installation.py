"""Checks of SPARK_HOME and JAVA_HOME before Spark starts."""

from __future__ import annotations

import os
from pathlib import Path

import pyspark
import pytest
import yaml

from halftone.errors import InputError
from halftone.spark import installation
from halftone.system import java
from job_runs import PYTHON, ROOT, run


def write_spark(home: Path, *jars: str) -> str:
    (home / "jars").mkdir(parents=True)
    for name in jars:
        (home / "jars" / name).touch()
    return str(home)


@pytest.mark.parametrize(
    ("jars", "what"),
    [
        (["spark-core_2.12-3.4.1.jar"], "Spark 3.4.1"),
        (["spark-core_2.13-4.0.0.jar"], "Spark 4.0.0"),
        (["scala-library-2.12.jar"], "no Spark (it has no jars/spark-core_*.jar)"),
    ],
)
def test_another_spark_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jars: list[str], what: str
) -> None:
    home = write_spark(tmp_path / "spark", *jars)
    monkeypatch.setenv("SPARK_HOME", home)
    with pytest.raises(InputError) as caught:
        installation.prepare_start()
    assert str(caught.value) == (
        f"SPARK_HOME is {home}, which is {what}, and PySpark here is {pyspark.__version__}; unset "
        "SPARK_HOME, and PySpark brings its own Spark"
    )


def test_a_spark_of_the_same_series_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", write_spark(tmp_path / "spark", "spark-core_2.13-3.5.1.jar"))
    monkeypatch.setenv("JAVA_HOME", os.environ.get("JAVA_HOME", ""))  # restored at the end
    installation.prepare_start()


def test_java_home_is_set_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "17"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(0o755)
    (home / "release").write_text('JAVA_VERSION="17.0.9"\n')
    (tmp_path / "java_home").write_text(f"{home}\n")
    monkeypatch.setattr(java, "_REMEMBERED", tmp_path / "java_home")
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    installation.prepare_start()
    assert os.environ["JAVA_HOME"] == str(home)
    assert capsys.readouterr().err == (
        f"note: JAVA_HOME /nowhere is no Java; Spark runs with the Java 17.0.9 of {home}\n"
    )


@pytest.mark.slow
def test_a_job_with_another_spark_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", write_spark(tmp_path / "spark", "spark-core_2.12-3.3.0.jar"))
    paths = {"images": str(ROOT), "dataset": str(tmp_path / "dataset")}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"paths": paths}))
    (line,) = run("preprocess", "--config", tmp_path / "run.yaml", by=PYTHON, code=2)
    assert line.startswith(f"error: SPARK_HOME is {tmp_path}/spark, which is Spark 3.3.0, and ")
