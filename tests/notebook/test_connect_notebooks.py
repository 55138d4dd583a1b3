"""The notebooks with a session of Spark Connect, as Databricks' standard access mode gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from connect_server import ConnectServer
from notebook_runs import (
    ALL,
    PAIRS,
    Kernel,
    Place,
    printed,
    problems,
    read,
)

SESSION = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote({url!r}).getOrCreate()
"""


@pytest.fixture
def kernel(connect_server: ConnectServer, place: Place) -> Iterator[Kernel]:
    kernel = Kernel(HALFTONE_CONFIG=str(place.conf), HALFTONE_TRAIN_EPOCHS="3")
    kernel.cell(SESSION.format(url=connect_server.url))
    yield kernel
    kernel.end()


@pytest.mark.slow
def test_all_notebooks_run_in_a_session_of_spark_connect(
    kernel: Kernel,
    place: Place,
) -> None:
    notebooks = {name: kernel.run(read(name)) for name in ALL}
    assert [problems(notebook) for notebook in notebooks.values()] == [[], [], []]
    lines = printed(notebooks["1_preprocess.ipynb"], "preprocess").splitlines()
    assert f"{2 * PAIRS + 4} images = {2 * PAIRS} rows + 4 rejects + 0 duplicates" in lines
    match = re.search(r"test: (\d+) rows", printed(notebooks["2_train_and_score.ipynb"], "score"))
    assert match is not None
    manifest = json.loads((place.folder / "dataset" / "manifest.json").read_text())
    assert int(match[1]) == sum(manifest["counts"]["test"].values())
    assert kernel.cell("print(type(spark).__module__, spark.range(3).count())") == (
        "pyspark.sql.connect.session 3\n"
    )
