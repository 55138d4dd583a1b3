"""Tables of Spark's own catalogue as the list of images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from halftone import arrow, listing
from halftone.config import PreprocessSettings
from halftone.errors import InputError
from halftone.listing import ColumnTitles, UnitRemarks, plan_listing
from halftone.preprocess.database_query import find_query, plan_query
from halftone.preprocess.spark_table import SparkTable


@pytest.fixture
def database(spark: SparkSession, tmp_path: Path) -> Iterator[str]:
    spark.sql(f"CREATE DATABASE pets LOCATION '{tmp_path}/pets'")
    yield "pets"
    spark.sql("DROP DATABASE pets CASCADE")


def read(spark: SparkSession, name: str, folder: Path) -> list[tuple[object, ...]]:
    query = find_query(PreprocessSettings(catalogue=f"table:{name}"))
    assert query == SparkTable(f"table:{name}")
    plan = plan_query(spark, query, "/data/images", ColumnTitles(label="Pet"), str(folder))
    assert plan.table_url == f"table:{name}"
    return sorted(
        row
        for unit in plan.units.to_pylist()
        for table in listing.list_unit(plan, UnitRemarks(), **unit)
        for row in arrow.iter_rows(table, "path", "label", "size_bytes")
    )


def test_the_rows_of_a_table_are_the_images(
    spark: SparkSession, database: str, tmp_path: Path
) -> None:
    rows = [("cat/1.jpg", "cat", 5), ("/data/images/dog/2.jpg", "dog", None)]
    frame = spark.createDataFrame(rows, "path STRING, pet STRING, size_bytes INT")
    frame.write.saveAsTable("pets.images", format="parquet")
    expected = [("cat/1.jpg", "cat", 5), ("dog/2.jpg", "dog", -1)]
    assert read(spark, "pets.images", tmp_path / "query") == expected
    frame.limit(1).write.saveAsTable("pets.images", format="parquet", mode="append")
    found = read(spark, "spark_catalog.pets.images", tmp_path / "query")
    assert found == [expected[0], *expected]
    frame.limit(0).write.saveAsTable("pets.none", format="parquet")
    with pytest.raises(InputError, match=r"^table:pets\.none: the table has no rows$"):
        read(spark, "pets.none", tmp_path / "query")


def test_a_table_that_spark_does_not_know_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    for name, message in (
        ("main.faces.images", "table:main.faces.images: "),
        ("nowhere.images", "table:nowhere.images: [TABLE_OR_VIEW_NOT_FOUND] "),
        ("a b", "table:a b: "),
    ):
        with pytest.raises(InputError) as caught:
            read(spark, name, tmp_path)
        assert str(caught.value).startswith(message)
        assert str(caught.value).endswith(
            "Check preprocess.catalogue, and whether this Spark knows the catalogue and may read "
            "the table"
        )
    with pytest.raises(InputError, match="this Spark has no Delta Lake, or there is no"):
        read(spark, f"delta.`{tmp_path}`", tmp_path)


def test_other_jobs_say_that_only_preprocess_reads_it() -> None:
    with pytest.raises(InputError) as caught:
        plan_listing("/data/images", "table:pets.images", ())
    assert str(caught.value) == (
        "table:pets.images: is read by Spark, which only preprocess does, without --estimate; "
        "write the rows to Parquet files, and give their folder as preprocess.catalogue"
    )
