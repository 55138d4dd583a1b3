"""Plain reads of a folder of Parquet files: they fail while it holds files of other versions."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, Callable

import duckdb
import pandas
import polars
import pyarrow.dataset
import pyarrow.parquet
import pytest
from petastorm import make_batch_reader
from pyspark.sql import SparkSession

from halftone import storage
from halftone.dataset.plain_reads import GUARD, allow_plain_reads, refuse_plain_reads


def count_by_petastorm(folder: str) -> int:
    with make_batch_reader(f"file://{folder}", num_epochs=1, reader_pool_type="dummy") as reader:
        return sum(len(batch.key) for batch in reader)


def count_by_duckdb(folder: str) -> int:
    with duckdb.connect() as connection:
        return len(connection.execute(f"select key from '{folder}/*.parquet'").fetchall())


# Ways to count the rows of a folder. Not all errors have the name of the file.
NAMED: dict[str, Callable[[str], Any]] = {
    "pandas": lambda folder: len(pandas.read_parquet(folder)),
    "pyarrow": lambda folder: pyarrow.parquet.read_table(folder).num_rows,
    "pyarrow dataset": lambda folder: pyarrow.dataset.dataset(folder).count_rows(),
    "duckdb": count_by_duckdb,
}
UNNAMED: dict[str, Callable[[str], Any]] = {
    "polars": lambda folder: len(polars.read_parquet(folder)),
    "polars scan": lambda folder: len(polars.scan_parquet(f"{folder}/*.parquet").collect()),
    "pandas of each": lambda folder: sum(
        len(pandas.read_parquet(path)) for path in sorted(glob.glob(f"{folder}/*.parquet"))
    ),
    "petastorm": count_by_petastorm,
}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A split with two files of three rows. Names of shards begin with hexadecimal digits."""
    table = pyarrow.table({"key": ["a", "b", "c"]})
    for name in ("00f3a0b2-00000", "f3a0b200-00000"):
        storage.write_table(str(tmp_path / "train" / f"{name}.parquet"), table)
    return str(tmp_path / "train")


@pytest.mark.parametrize("name", [*NAMED, *UNNAMED])
def test_readers_of_a_folder_stop(folder: str, name: str) -> None:
    read = {**NAMED, **UNNAMED}[name]
    assert read(folder) == 6
    refuse_plain_reads(str(Path(folder).parent), ["train"])
    with pytest.raises(Exception, match=GUARD if name in NAMED else "magic bytes|end with PAR1"):
        read(folder)
    allow_plain_reads(str(Path(folder).parent), "train")
    assert read(folder) == 6


def test_spark_stops_and_names_the_file(spark: SparkSession, folder: str) -> None:
    refuse_plain_reads(str(Path(folder).parent), ["train"])
    with pytest.raises(Exception, match=GUARD):
        spark.read.parquet(folder)
    with pytest.raises(Exception, match=GUARD):
        spark.read.schema("key string").parquet(f"{folder}/*.parquet").count()
    allow_plain_reads(str(Path(folder).parent), "train")
    assert spark.read.parquet(folder).count() == 6
