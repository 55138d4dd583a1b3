"""Jobs on a dataset that Spark with Delta Lake knows by name, all in one process."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from halftone.commands import main


def steps(session: SparkSession, folder: Path) -> dict[str, Any]:
    """Make a dataset, register it and others as tables, and run jobs by their names.

    Return the exit code, and the lines of the output or of the errors, by the name of the step.
    """
    config, dataset = str(folder / "config.yaml"), folder / "my faces"

    def run(job: str, *arguments: str) -> tuple[int, list[str]]:
        printed, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(printed), redirect_stderr(errors):
            code = main.main([job, "--config", config, *arguments])
        return code, (errors if code else printed).getvalue().splitlines()

    result: dict[str, Any] = {"preprocess": run("preprocess", "--output", str(dataset))}
    session.sql(f"CREATE DATABASE faces LOCATION '{folder}/faces'")
    for name, path in (("all", dataset), ("train", dataset / "train")):
        session.sql(f"CREATE TABLE faces.{name} USING delta LOCATION '{path}'")
    session.sql("CREATE TABLE faces.list (path STRING) USING delta")
    session.sql("CREATE TABLE faces.plain (path STRING) USING parquet")
    session.sql("CREATE VIEW faces.looked AS SELECT * FROM faces.all")
    session.sql("CREATE TEMP VIEW looked AS SELECT * FROM faces.all")

    result["train"] = run("train", "--dataset", "table:faces.all")
    result["score"] = run("score", "--dataset", "table:spark_catalog.faces.all")
    result["check"] = run("score", "--dataset", "table:faces.all", "--check")
    output = str(folder / "export")
    result["export"] = run("export", "--dataset", f"table:delta.`{dataset}`", "--output", output)
    for name in ("faces.train", "faces.list", "faces.plain", "faces.looked", "looked"):
        result[name] = run("train", "--dataset", f"table:{name}")
    for name in ("faces.none", "main.faces.all", "a b", "faces.all; DROP TABLE faces.all"):
        result[name] = run("train", "--dataset", f"table:{name}")
    return result
