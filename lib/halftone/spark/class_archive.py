"""A class-data archive (AppCDS) of Spark's classes, from which the JVM starts faster.

    python -m halftone.spark.class_archive

prepares this Python environment, and is a step of `./build.sh setup`. Measured on Java 17 and 2
cores, the first SQL job of a process with an Arrow UDF ends after 6 s instead of 10 s.

The JVM uses an archive only with the Java, the jars and the class path that it was written with;
otherwise it does without the archive. It does not support class path folders that
have files in them, so Spark's configuration folder must be empty, see `CONF_FOLDER`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyspark
from pyspark import SparkContext
from pyspark.sql import SparkSession

from halftone.system.java import REMEMBERED

_FOLDER = Path(sys.prefix, "spark")
ARCHIVE = _FOLDER / "classes.jsa"
# An empty folder that replaces Spark's own conf folder on the class path.
CONF_FOLDER = _FOLDER / "conf"
# Skip the C2 compiler: jobs are too short to profit from it.
SHORT_JOB_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# The JVM would warn on standard output, among the job's own lines, where it cannot use the archive.
_NO_ARCHIVE_WARNINGS = "-Xlog:cds=off,cds+dynamic=off"
_JOB_CONF: dict[str, Any] = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
# Not a file if the package is in a zip archive; Spark then logs as it does by default.
_LOGGING = Path(__file__).with_name("log4j2.properties")
# Spark sources this file before it starts a JVM, unless SPARK_CONF_DIR names another folder. A
# conf folder in which somebody put more files stays in use, and the archive does not.
_SPARK_ENV = """\
# Written by python -m halftone.spark.class_archive.
if [ -z "${{SPARK_SUBMIT_OPTS:-}}" ]; then
    SPARK_SUBMIT_OPTS={options}
fi
if [ -z "${{JAVA_HOME:-}}" ] && [ -f {java_home} ]; then
    JAVA_HOME=$(cat {java_home})
fi
if [ -f {archive} ] && [ "$(ls -A "$SPARK_CONF_DIR")" = spark-env.sh ]; then
    SPARK_CONF_DIR={conf_folder}
fi
"""


def jvm_options() -> str:
    """JVM options for a short job in this environment, in the syntax of SPARK_SUBMIT_OPTS."""
    options = [SHORT_JOB_OPTIONS]
    if _LOGGING.is_file():
        # A URI: of a path, log4j would take # and % for those of a URI, and a comma for a list.
        options.append(f'-Dlog4j2.configurationFile="{_LOGGING.as_uri()}"')
    if ARCHIVE.exists():
        options += [_option("SharedArchiveFile", ARCHIVE), _NO_ARCHIVE_WARNINGS]
    return " ".join(options)


def write_archive() -> None:
    """Run a small Spark job in another process, whose JVM archives the classes that it loaded.

    Raises:
        subprocess.CalledProcessError: the job failed; there is no archive then.
    """
    CONF_FOLDER.mkdir(parents=True, exist_ok=True)
    ARCHIVE.unlink(missing_ok=True)
    unfinished = Path(f"{ARCHIVE}.unfinished")
    environment = {
        **os.environ,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_CONF_DIR": str(CONF_FOLDER),
        "SPARK_SUBMIT_OPTS": f"{SHORT_JOB_OPTIONS} {_option('ArchiveClassesAtExit', unfinished)}",
    }
    subprocess.run([sys.executable, "-m", __spec__.name, "--job"], check=True, env=environment)
    # Renamed when complete: the JVM does not start with a part of an archive.
    unfinished.replace(ARCHIVE)


def write_spark_env() -> None:
    """Let every way to start Spark in this environment use the options and the archive.

    Spark's scripts source spark-env.sh by an unquoted path, so there is none if the path has a
    space: Spark starts slower there, but without an error message of the shell.
    """
    conf = Path(pyspark.__file__).parent / "conf"
    if len(str(conf).split()) > 1:
        (conf / "spark-env.sh").unlink(missing_ok=True)
        return
    conf.mkdir(exist_ok=True)
    values = {
        "options": jvm_options(),
        "java_home": str(REMEMBERED),
        "archive": str(ARCHIVE),
        "conf_folder": str(CONF_FOLDER),
    }
    quoted = {name: shlex.quote(value) for name, value in values.items()}
    (conf / "spark-env.sh").write_text(_SPARK_ENV.format(**quoted))


def _option(name: str, path: Path) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", str(path))  # for Spark, which splits the options
    return f'-XX:{name}="{escaped}"'


def _run_job() -> None:
    """Load the classes that jobs load: of Arrow UDFs, joins, shuffles and aggregates."""
    session = SparkSession.builder.master("local[1]").config(map=_JOB_CONF).getOrCreate()
    rows = session.range(8).mapInArrow(_copy, "id long")
    rows.repartition(2, "id").sortWithinPartitions("id").mapInArrow(_copy, "id long").collect()
    rows.join(rows.groupBy("id").count(), "id").orderBy("id").collect()
    session.stop()
    # The JVM writes the archive when it ends, and Python would not wait for that.
    jvm: subprocess.Popen[bytes] = SparkContext._gateway.proc  # type: ignore[union-attr]
    assert jvm.stdin is not None
    jvm.stdin.close()
    jvm.wait()


def _copy(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


if __name__ == "__main__":
    if "--job" in sys.argv:
        _run_job()
    else:
        try:
            write_archive()
        finally:
            write_spark_env()
