"""Queries of Derby, a database whose driver is among Spark's jars."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages, small_config
from halftone import arrow, listing, storage
from halftone.errors import InputError
from halftone.listing import ColumnTitles, ListingPlan, UnitRemarks
from halftone.preprocess.database_query import DatabaseQuery, plan_query
from halftone.preprocess.run import PreprocessResult, preprocess

ROWS = [
    ("cat/1.jpg", "7", 5, 9.5),
    ("/data/images/dog/2.jpg", "dog", None, None),
    ("x, ü/3.jpg", None, 6, 7.0),
]
# Spark writes the names of columns in small letters, which Derby only takes in quotes.
QUERY = (
    'SELECT "path" AS path, "label", "n" AS "Size_Bytes", "taken" AS "modified", 1 AS one '
    "FROM images"
)


@pytest.fixture
def database(any_spark: SparkSession, tmp_path: Path) -> str:
    url = f"jdbc:derby:{tmp_path}/db;create=true"
    frame = any_spark.createDataFrame(ROWS, "path STRING, label STRING, n INT, taken DOUBLE")
    frame.write.format("jdbc").options(url=url, dbtable="images").save()
    return url


def plan(
    spark: SparkSession, url: str, query: str, folder: Path, label: str | None = None
) -> ListingPlan:
    database = DatabaseQuery(url, query)
    return plan_query(spark, database, "/data/images", ColumnTitles(label=label), str(folder))


def rows(plan: ListingPlan, *names: str) -> list[tuple[object, ...]]:
    return [
        row
        for unit in plan.units.to_pylist()
        for table in listing.list_unit(plan, UnitRemarks(), **unit)
        for row in arrow.iter_rows(table, *names)
    ]


@pytest.mark.slow
def test_the_rows_of_a_query_are_the_images(
    any_spark: SparkSession, database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "query"
    storage.write_bytes(str(folder / "part-000009-00000.parquet"), b"of an earlier run")
    planned = plan(any_spark, database, QUERY, folder)
    assert sorted(rows(planned, "path", "label", "size_bytes", "modified")) == [
        ("cat/1.jpg", "7", 5, 9.5),
        ("dog/2.jpg", "dog", -1, 0.0),
        ("x, ü/3.jpg", "", 6, 7.0),
    ]
    assert (planned.table_url, planned.has_labels) == (database, True)
    assert planned.unknown_columns == ("ONE",)
    by_number = plan(any_spark, database, 'SELECT "path", "n" AS n FROM images', folder, label="N")
    assert sorted(rows(by_number, "path", "label"))[0] == ("cat/1.jpg", "5")
    without = plan(any_spark, database, 'SELECT "path" FROM images', folder)
    assert without.notes == (
        f"{database}: has no column label; the labels come from the paths, by "
        "preprocess.label_from",
    )
    assert [row[1] for row in rows(without, "path", "label")] == ["", "", ""]
    for query, message in (
        (
            'SELECT "label" FROM images',
            "URL: has no column path; it has 'label', and may have path, ",
        ),
        ('SELECT "path" FROM images WHERE "n" > 7', "URL: preprocess.catalogue_query returns no "),
        ("SELECT path FROM pictures", "URL: "),
        ("DELETE FROM images", "URL: "),
    ):
        with pytest.raises(InputError) as caught:
            plan(any_spark, database, query, folder)
        assert str(caught.value).replace(database, "URL").startswith(message)
    assert len(rows(plan(any_spark, database, QUERY, folder), "path")) == 3


@pytest.mark.slow
def test_a_dataset_of_a_query_is_updated_when_the_database_changes(
    spark: SparkSession, tmp_path: Path, draw_images: DrawImages
) -> None:
    images = draw_images(each=4)
    url = f"jdbc:derby:{tmp_path}/db;create=true"
    paths = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))

    def insert(some: list[str], mode: str) -> None:
        frame = spark.createDataFrame(
            [(path, path[0]) for path in some], "path STRING, kind STRING"
        )
        frame.write.format("jdbc").options(url=url, dbtable="pictures").mode(mode).save()

    def run(query: str = "SELECT * FROM pictures") -> PreprocessResult:
        settings = {"catalogue": url, "catalogue_query": query, "label_column": "kind"}
        config = small_config(preprocess=settings)
        return preprocess(config, str(images), str(tmp_path / "dataset"), lambda: spark)

    insert(paths[:6], "error")
    first = run()
    assert (first.manifest.inputs, sorted(first.manifest.labels)) == (6, ["l", "u"])
    assert run().num_changed == 0
    insert(paths[6:], "append")
    second = run()
    assert (second.num_changed, second.manifest.inputs) == (2, 8)
    assert not (tmp_path / "dataset" / "_staging").exists()
    with pytest.raises(InputError) as caught:
        run('SELECT "path" FROM pictures')
    assert str(caught.value).startswith(f"{url}: has no column kind; it has 'path'. Correct pre")


def test_a_database_without_a_driver_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    for url in ("jdbc:postgresql://localhost:1/x", "jdbc:nothing:x"):
        with pytest.raises(InputError) as caught:
            plan(spark, url, "SELECT 1", tmp_path)
        assert str(caught.value).startswith(f"{url}: Spark has no driver for {url.split(':')[1]} (")
        assert str(caught.value).endswith(
            "; give the jar of its driver in spark.jars or spark.jars.packages"
        )


def test_user_and_password_are_those_of_the_environment(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Derby's own tables belong to the schema of the user that connects."""
    monkeypatch.setenv("HALFTONE_JDBC_USER", "anna")
    monkeypatch.setenv("HALFTONE_JDBC_PASSWORD", "secret")
    url = f"jdbc:derby:{tmp_path}/db;create=true"
    query = "SELECT CURRENT_USER AS path FROM sysibm.sysdummy1"
    assert rows(plan(spark, url, query, tmp_path / "query"), "path") == [("ANNA",)]
