"""The catalogue of corrections: all images, the issues first, and copies of issues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from halftone.config import Config, config_from_mapping
from halftone.dataset import schema
from halftone.label_errors import corrections
from halftone.label_errors.ranking import LABEL_ERRORS


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for path in ("cat/a.png", 'cat/b, "b".png', "cat/copy.png", "dog/c.png", "dog/d.png"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


def write_ranked(tmp_path: Path, *rows: tuple[Any, ...]) -> str:
    path = str(tmp_path / "ranked.parquet")
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows), LABEL_ERRORS)]
    pq.write_table(pa.table(columns, schema=LABEL_ERRORS), path)
    return path


def configured(images: Path, **preprocess: Any) -> Config:
    return config_from_mapping({"paths": {"images": str(images)}, "preprocess": preprocess}, "test")


def ranked_rows(images: Path) -> list[tuple[Any, ...]]:
    return [
        (f"{images}/dog/c.png", "dog", "cat", 0.0625, 0.875, -0.8125, 1, True, 0),
        (f'{images}/cat/b, "b".png', "cat", "dog", 0.25, 0.75, -0.5, 2, True, 1),
        (f"{images}/cat/a.png", "cat", "dog", 0.75, 0.25, 0.5, 3, False, 0),
    ]


def test_all_images_are_listed_and_only_issues_have_suggestions(
    spark: SparkSession, tmp_path: Path, images: Path
) -> None:
    ranked = write_ranked(tmp_path, *ranked_rows(images))
    url = str(tmp_path / "corrections.csv")
    written = corrections.write_corrections(spark, configured(images), [ranked], [], url)
    text = Path(url).read_text()
    assert text.splitlines() == [
        "path,label,suggested_label,accept,label_probability,suggested_probability,rank",
        "dog/c.png,dog,cat,,0.0625,0.8750,1",
        '"cat/b, ""b"".png",cat,dog,,0.2500,0.7500,2',
        "cat/a.png,cat,,,,,",
        "cat/copy.png,cat,,,,,",
        "dog/d.png,dog,,,,,",
    ]
    assert written == (
        corrections.CorrectionsFile(rows=5, suggestions=2, digest=corrections.file_digest(url))
    )


def test_a_copy_of_an_issue_has_its_suggestion(
    spark: SparkSession, tmp_path: Path, images: Path
) -> None:
    ranked = write_ranked(tmp_path, *ranked_rows(images))
    duplicates = []
    for number in range(2):  # of two folds
        copies = [
            (f"{images}/cat/copy.png", f'{images}/cat/b, "b".png', 1, 0.0, "cat", b"1"),
            (f"{images}/dog/d.png", f"{images}/cat/a.png", 1, 0.0, "dog", b"2"),  # no issue
        ]
        rows = [dict(zip(schema.DUPLICATES.names, copy)) for copy in copies]
        duplicates.append(str(tmp_path / f"duplicates-{number}.parquet"))
        pq.write_table(pa.Table.from_pylist(rows, schema.DUPLICATES), duplicates[-1])
    url = str(tmp_path / "corrections.csv")
    written = corrections.write_corrections(spark, configured(images), [ranked], duplicates, url)
    assert Path(url).read_text().splitlines()[1:] == [
        "dog/c.png,dog,cat,,0.0625,0.8750,1",
        '"cat/b, ""b"".png",cat,dog,,0.2500,0.7500,2',
        "cat/copy.png,cat,dog,,0.2500,0.7500,2",
        "cat/a.png,cat,,,,,",
        "dog/d.png,dog,,,,,",
    ]
    assert (written.rows, written.suggestions) == (5, 3)


def test_groups_and_splits_of_a_table_are_kept(
    spark: SparkSession, tmp_path: Path, images: Path
) -> None:
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text("path,split,group\ncat/a.png,train,1\ndog/c.png,test,2\n")
    ranked = write_ranked(tmp_path, *ranked_rows(images))
    url = str(tmp_path / "corrections.csv")
    config = configured(images, catalogue=str(catalogue), label_from="/(.)")
    corrections.write_corrections(spark, config, [ranked], [], url)
    assert Path(url).read_text().splitlines() == [
        "path,label,group,split,suggested_label,accept,label_probability,"
        "suggested_probability,rank",
        "dog/c.png,c,2,test,cat,,0.0625,0.8750,1",
        "cat/a.png,a,1,train,,,,,",
    ]


def test_the_digest_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        corrections.file_digest(str(tmp_path / "none.csv"))
