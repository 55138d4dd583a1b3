"""A dataset that is named as a Delta table: what Spark says of it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

import delta_lake
from conftest import draw_stripes, small_config
from example_manifest import example
from halftone import storage
from halftone.commands import main
from halftone.config import ConfigError
from halftone.dataset import manifest
from halftone.dataset.named_dataset import find_dataset, with_dataset_url
from halftone.errors import InputError
from halftone.retrain import job
from job_runs import write_stripes_config

CHECK_NAME = (
    " Check the name, and whether this Spark knows the catalogue and may read the table; or give "
    "the URL of the table's folder"
)
NO_DELTA_LAKE = (
    "this Spark has no Delta Lake, which says where a table is; set spark.jars.packages, "
    "spark.sql.extensions and spark.sql.catalog.spark_catalog as Delta Lake says, or give the URL "
    "of the table's folder"
)


def no_session() -> SparkSession:
    raise AssertionError("no session is needed")


def error_of(dataset: str) -> str:
    with pytest.raises(InputError) as caught:
        manifest.read_manifest(dataset)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.needs("delta-lake")
def test_jobs_on_a_dataset_that_spark_knows_by_name(tmp_path: Path) -> None:
    draw_stripes(tmp_path / "images", ("lying", "upright"), each=20)
    config = tmp_path / "config.yaml"
    write_stripes_config(config, str(tmp_path))
    settings = yaml.safe_load(config.read_text())
    settings["train"].update(ranks=1, epochs=1)
    config.write_text(yaml.safe_dump(settings))

    found = delta_lake.run_steps("named_dataset_steps", tmp_path)
    dataset = str(tmp_path / "my faces")
    for step, name, last_line in (
        ("train", "faces.all", f"model: {tmp_path}/out/model"),
        ("score", "spark_catalog.faces.all", f"scores: {tmp_path}/out/scores"),
        ("export", f"delta.`{dataset}`", f"export: {tmp_path}/export"),
    ):
        code, lines = found.pop(step)
        assert (code, lines[0], lines[-1]) == (0, f"table:{name}: {dataset}", last_line)
    code, lines = found.pop("check")
    assert (code, lines[0]) == (0, f"table:faces.all: {dataset}")
    assert "ok read dataset ok ok" in [" ".join(line.split()) for line in lines]
    # What the model was trained with is what a URL would have given.
    model = json.loads((tmp_path / "out" / "model" / "model.json").read_text())
    assert model["config"]["paths"]["dataset"] == dataset

    assert found.pop("preprocess")[0] == 0
    view = (
        "is a view, which has no folder; give the table that the dataset is registered as, or the "
        "URL of the dataset's folder"
    )
    unknown, syntax = "[TABLE_OR_VIEW_NOT_FOUND] The table or view ", "[PARSE_SYNTAX_ERROR] Syntax "
    refusals = {
        "faces.train": f"{dataset}/train: is the table train of a dataset; give the folder of the "
        f"dataset, {dataset}",
        "faces.list": f"{tmp_path}/faces/list: is a Delta table and no dataset of Halftone (no "
        "manifest.json); make a dataset of the images that its rows list, with "
        "preprocess.catalogue: table:faces.list",
        "faces.plain": "is a table of format parquet and no Delta table; every dataset of Halftone "
        "is one: give the name of such a table, or the URL of the dataset's folder",
        "faces.looked": view,
        "looked": view,
        "faces.none": f"{unknown}`faces`.`none` cannot be found. Verify the spelling and "
        f"correctness of the schema and catalog.{CHECK_NAME}",
        "main.faces.all": "[REQUIRES_SINGLE_PART_NAMESPACE] spark_catalog requires a single-part "
        f"namespace, but got `main`.`faces`.{CHECK_NAME}",
        "a b": f"{syntax}error at or near 'b': extra input 'b'.(line 1, pos 2){CHECK_NAME}",
        "faces.all; DROP TABLE faces.all": f"{syntax}error at or near ';'.(line 1, pos 9)"
        f"{CHECK_NAME}",
    }
    assert found == {name: [2, [f"error: table:{name}: {text}"]] for name, text in refusals.items()}


def test_a_session_without_delta_lake_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql(f"CREATE DATABASE pets LOCATION '{tmp_path}/pets'")
    try:
        spark.sql("CREATE TABLE pets.images (path STRING) USING parquet")
        for name in ("pets.images", f"delta.`{tmp_path}`"):
            with pytest.raises(InputError) as caught:
                find_dataset(f"table:{name}", lambda: spark)
            assert str(caught.value) == f"table:{name}: {NO_DELTA_LAKE}"
        with pytest.raises(InputError, match=r"^table:pets\.none: \[TABLE_OR_VIEW_NOT_FOUND\]"):
            find_dataset("table:pets.none", lambda: spark)
    finally:
        spark.sql("DROP DATABASE pets CASCADE")


def test_the_folder_of_a_table_needs_no_spark(tmp_path: Path) -> None:
    for given, url in (
        ("delta://s3a://bucket/faces/", "s3://bucket/faces"),
        ("delta:///data/faces", "/data/faces"),
    ):
        config = small_config(paths={"dataset": given, "model": "m"})
        paths = with_dataset_url(config, no_session).paths
        assert (paths.dataset, paths.model) == (url, "m")
    for given in ("s3a://bucket/faces", "faces"):
        config = small_config(paths={"dataset": given})
        assert with_dataset_url(config, no_session) is config


def test_other_delta_tables_are_no_datasets(tmp_path: Path) -> None:
    root = str(tmp_path)
    manifest.publish_manifest(root, example())
    for name in ("train", "rejects"):
        assert error_of(f"{root}/{name}") == (
            f"{root}/{name}: is the table {name} of a dataset; give the folder of the dataset, "
            f"{root}"
        )
    storage.write_bytes(f"{root}/list/_delta_log/{0:020d}.json", b"{}")
    assert error_of(f"{root}/list") == (
        f"{root}/list: is a Delta table and no dataset of Halftone (no manifest.json); make a "
        "dataset of the images that its rows list, with preprocess.catalogue: "
        f"{root}/list"
    )


def test_a_name_without_its_prefix_gets_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hint = "; if main.faces.train is a table that Spark knows, write table:main.faces.train"
    assert error_of(str(tmp_path / "main.faces.train")).endswith(f"or --dataset{hint}")
    for name in ("faces", "sub/main.faces.train", "main.faces.train.x"):
        assert error_of(str(tmp_path / name)).endswith("or --dataset")


@pytest.mark.parametrize("given", ["table:main.faces.all", "delta://s3://bucket/faces"])
def test_a_dataset_that_is_written_is_no_table(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = (
        f"paths.dataset is {given}, the name of a table that exists, and preprocess and retrain "
        "write the dataset; give the URL or the path of its folder, in the config file or as "
        "--output of preprocess"
    )
    config = tmp_path / "config.yaml"
    write_stripes_config(config, str(tmp_path))
    for flags in ([], ["--check"]):
        assert main.main(["preprocess", "--config", str(config), "--output", given, *flags]) == 2
        assert capsys.readouterr().err == f"error: {refusal}\n"
    settings = small_config(
        paths={"images": "images", "dataset": given}, retrain={"folder": str(tmp_path)}
    )
    with pytest.raises(ConfigError) as caught:
        job.create_job(settings, no_session)
    assert str(caught.value) == refusal


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({"dataset": "table:"}, "must be table:NAME with a name of Spark, such as main.faces.all"),
        ({"dataset": "table://x"}, "must be table:NAME with a name of Spark, "),
        ({"dataset": "delta://"}, "must be delta:// with a URL or a path, such as delta://s3://"),
        ({"dataset": "delta://table:x"}, "must be delta:// with a URL or a path, such as "),
        ({"dataset": "delta://s4://x"}, "unknown scheme s4://; did you mean s3://? "),
        ({"model": "table:x"}, "names a table, which only a dataset that is read and a catalogue "),
        ({"scores": "delta:///x"}, "names a table, which only a dataset that is read and a "),
    ],
)
def test_names_that_no_table_has(paths: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        small_config(paths=paths)
    ((key, value),) = paths.items()
    assert f'paths.{key} = "{value}": {message}' in str(caught.value)
