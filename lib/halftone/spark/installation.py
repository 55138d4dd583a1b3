"""The Java and the Spark that this process starts: checked before Spark, which would not say."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyspark

from halftone.errors import InputError
from halftone.progress import log_notes
from halftone.system.java import find_java

_CORE = re.compile(r"spark-core_[\d.]+-(.+)\.jar")


def prepare_start() -> None:
    """Check SPARK_HOME, and set JAVA_HOME to a Java that Spark runs on.

    Raises:
        InputError: SPARK_HOME is of another Spark, or there is no such Java.
    """
    _check_spark_home()
    java, replaced = find_java()
    if java.home:
        os.environ["JAVA_HOME"] = java.home
    else:  # Spark takes that of PATH
        os.environ.pop("JAVA_HOME", None)
    if replaced is not None:
        chosen = f"the Java {java.version} of {java.home or java.origin}"
        log_notes([f"{replaced}; Spark runs with {chosen}"])


def _check_spark_home() -> None:
    """Raise InputError unless the Spark of SPARK_HOME is of PySpark's series."""
    home = os.environ.get("SPARK_HOME")
    if not home:
        return
    names = [path.name for path in Path(home, "jars").glob("spark-core_*.jar")]
    versions = [match[1] for match in map(_CORE.fullmatch, names) if match]
    series = pyspark.__version__.rpartition(".")[0]
    if versions and versions[0].startswith(f"{series}."):
        return
    what = f"Spark {versions[0]}" if versions else "no Spark (it has no jars/spark-core_*.jar)"
    raise InputError(
        f"SPARK_HOME is {home}, which is {what}, and PySpark here is {pyspark.__version__}; unset "
        "SPARK_HOME, and PySpark brings its own Spark"
    )
