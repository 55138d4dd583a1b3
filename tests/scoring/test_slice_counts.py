"""Slices of predictions, counted by real Spark of both kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from halftone.config import ScoreSettings
from halftone.errors import InputError
from halftone.metrics.model import SliceScores
from halftone.scoring import slice_counts
from halftone.scoring.slice_plan import plan_slices
from slice_catalogues import ROOT, expected_slices, write_predictions

THREE = ["cat", "dog", "fox"]
# By hand: camera a has 2 of 3 correct, b 1 of 2; d.jpg has no camera, e.jpg is in no row.
ROWS = pd.DataFrame(
    [
        ("a.jpg", "cat", "cat"),
        ("b.jpg", "cat", "dog"),
        ("c.jpg", "dog", "dog"),
        ("d.jpg", "dog", "dog"),
        ("e.jpg", "dog", "cat"),
        ("f.jpg", "cat", "cat"),
        ("g.jpg", "dog", "cat"),
    ],
    columns=["path", "label", "prediction"],
)
CATALOGUE = """Camera,path,Site,other
a,a.jpg,x,1
a,./b.jpg,x,2
a,/data/images/c.jpg,x,3
,d.jpg,y,4
b,f.jpg,y,5
b,g.jpg,y,6
b,never-scored.jpg,z,7
b,g.jpg,y,8
c,/elsewhere/a.jpg,z,9
"""


def compute(
    session: SparkSession,
    folder: Path,
    rows: pd.DataFrame,
    catalogue: Path,
    columns: tuple[str, ...],
    labels: list[str],
    **arguments: Any,
) -> SliceScores:
    settings = ScoreSettings(slices=columns, slice_catalogue=str(catalogue))
    plan = plan_slices(settings, None, ROOT)
    assert plan is not None
    urls = write_predictions(folder, rows, labels)
    correct = int((rows.label == rows.prediction).sum())
    return slice_counts.compute_slices(session, plan, urls, labels, len(rows), correct, **arguments)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "cameras.csv"
    path.write_text(CATALOGUE)
    return path


def test_every_row_is_in_a_slice_of_each_column(
    any_spark: SparkSession, tmp_path: Path, catalogue: Path
) -> None:
    scores = compute(any_spark, tmp_path, ROWS, catalogue, ("camera", " SITE"), ["cat", "dog"])
    assert (scores.catalogue, scores.rows) == (str(catalogue), 7)
    camera, site = scores.columns
    assert (camera.column, camera.num_values, site.column, site.num_values) == (
        *("camera", 2),
        *(" SITE", 2),
    )
    found = [(s.kind, s.value, s.rows, s.correct, round(s.f1, 4)) for s in camera.slices]
    assert found == [
        ("not in the catalogue", None, 1, 0, 0.0),
        ("value", "b", 2, 1, 0.0),
        ("value", "a", 3, 2, 0.6667),
        ("empty", None, 1, 1, 1.0),
    ]
    a = camera.slices[2]
    assert a.accuracy == 2 / 3
    assert a.interval == pytest.approx((0.2077, 0.9385), abs=1e-4)
    assert (a.worst_class.label, a.worst_class.recall, a.worst_class.rows) == ("cat", 0.5, 2)
    assert [(s.title, s.rows) for s in site.slices] == [
        ("(not in the catalogue)", 1),
        ("x", 3),
        ("y", 3),
    ]


def test_slices_are_those_of_pandas_and_scikit_learn(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        {
            "path": [f"{number:04d}.jpg" for number in range(600)],
            "label": rng.choice(THREE, 600, p=[0.6, 0.3, 0.1]),
            "prediction": rng.choice(THREE, 600),
            "site": rng.choice(["north", "south", "it's \\ \u00fc", "1"], 600),
            "year": rng.integers(2019, 2024, 600),
        }
    )
    right = rng.random(600) < 0.6
    rows.loc[right, "prediction"] = rows.label[right]
    folder = tmp_path / "table"
    folder.mkdir()
    for number in (0, 1):  # in two files; the last images are in neither
        some = rows.iloc[number * 290 : number * 290 + 290]
        table = pa.table(
            {
                "path": pa.array(some.path.tolist()),
                "site": pa.array(some.site.tolist()).dictionary_encode(),
                "year": pa.array(some.year.tolist(), pa.int32()),
            }
        )
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=100)
    scores = compute(spark, tmp_path, rows, folder, ("site", "year"), THREE)
    rows.loc[580:, ["site", "year"]] = None
    rows["year"] = [None if pd.isna(year) else str(int(year)) for year in rows.year]
    for column in scores.columns:
        expected = expected_slices(rows.fillna("missing"), column.column, THREE)
        assert sum(each.rows for each in column.slices) == 600
        assert column.num_values == len(expected) - 1
        got = {
            each.value or "missing": {
                "rows": each.rows,
                "correct": each.correct,
                "accuracy": pytest.approx(each.accuracy),
                "f1": pytest.approx(each.f1),
                "worst_recall": pytest.approx(each.worst_class.recall),
            }
            for each in column.slices
        }
        assert got == expected


def test_values_beyond_the_largest_are_counted_together(
    spark: SparkSession, tmp_path: Path
) -> None:
    # Value n has n images; 1 to 6, of which the three largest are kept.
    values = [value for value in range(1, 7) for _ in range(value)]
    rows = pd.DataFrame(
        {
            "path": [f"{number}.jpg" for number in range(22)],
            "label": ["cat"] * 22,
            "prediction": ["dog", *["cat"] * 21],
        }
    )
    lines = [f"{number}.jpg,v{value}" for number, value in enumerate(values)]
    catalogue = tmp_path / "list.csv"
    catalogue.write_text("\n".join(["path,v", *lines, "21.jpg,"]))
    (column,) = compute(
        spark, tmp_path, rows, catalogue, ("v",), ["cat", "dog"], max_values=3
    ).columns
    assert column.num_values == 6
    assert {each.title: (each.rows, each.correct) for each in column.slices} == {
        "(empty)": (1, 1),
        "v4": (4, 4),
        "v5": (5, 5),
        "v6": (6, 6),
        "(3 other values)": (6, 5),
    }
    assert column.slices[-1].title == "(3 other values)"


def error_of(spark: SparkSession, tmp_path: Path, text: str) -> str:
    catalogue = tmp_path / "list.csv"
    catalogue.write_text(text)
    with pytest.raises(InputError) as caught:
        compute(spark, tmp_path, ROWS, catalogue, ("site", "camera"), ["cat", "dog"])
    return str(caught.value).replace(str(catalogue), "TABLE")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (  # also of an image that was not scored
            "path,camera,site\na.jpg,a,x\nq.jpg,a,x\nq.jpg,b,x\n",
            "TABLE: has /data/images/q.jpg more than once, with the values 'a' and 'b' in the "
            "column camera; keep one of them",
        ),
        (
            "path,camera,site\na.jpg,a,x\n/data/images/a.jpg,a,\n",
            "TABLE: has /data/images/a.jpg more than once, with the values '' and 'x' in the "
            "column site; keep one of them",
        ),
        (
            "path,camera,site\nA.JPG,a,x\n",
            "TABLE: has none of the 7 scored images; its paths must be relative to /data/images, "
            "or absolute. Check score.slice_catalogue",
        ),
        ("path,camera,site\na.jpg,a,x\n,b,x\n", "TABLE: row 2 has no path"),
        (
            "path,camera,site\na.jpg,a\n",
            "TABLE: line 2 has 2 cells, the header has 3; put a cell that contains a comma into "
            "double quotes",
        ),
    ],
)
def test_what_is_wrong_with_a_catalogue_is_said(
    spark: SparkSession, tmp_path: Path, text: str, message: str
) -> None:
    assert error_of(spark, tmp_path, text) == message
