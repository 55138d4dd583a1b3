"""A dataset of boxes of images, from a table to its rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages, small_config
from halftone.preprocess.run import PreprocessResult, preprocess
from listed_images import list_images


def write_table(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(["path,label,x,y,width,height", *rows]))
    return str(path)


def test_boxes_of_an_image_are_in_one_split(tmp_path: Path) -> None:
    """They may overlap; a person in training and in test would be a leak."""
    names = [f"{number}.png" for number in range(40)]
    rows = [f"{name},{x % 2},{x},0,9,9" for name in names for x in range(3)]
    table = write_table(tmp_path / "boxes.csv", [*rows, *(f"{name},0,,,," for name in names)])
    settings = {"validation_fraction": 0.3, "test_fraction": 0.3}
    config = small_config(preprocess={"catalogue": table}, splits=settings)
    splits: dict[str, set[object]] = {}
    for entry in list_images("/images", config).entries:
        splits.setdefault(entry["path"].partition("#")[0], set()).add(entry["split"])
    assert {len(found) for found in splits.values()} == {1}
    assert len(set.union(*splits.values())) == 3
    assert len(splits) == 40


@pytest.mark.slow
def test_a_changed_box_is_a_changed_row(
    spark: SparkSession, tmp_path: Path, draw_images: DrawImages
) -> None:
    images = draw_images(each=3)
    table = tmp_path / "boxes.csv"

    def run(rows: list[str], prune: bool = False) -> PreprocessResult:
        settings = {"catalogue": write_table(table, rows), "max_reject_fraction": 0.5}
        config = small_config(preprocess={**settings, "near_duplicates": "off"})
        dataset = str(tmp_path / "dataset")
        return preprocess(config, str(images), dataset, lambda: spark, prune=prune)

    def keys(made: PreprocessResult) -> list[str]:
        files = [tmp_path / "dataset" / file.path for file in made.manifest.files or []]
        found = [key for file in files for key in pq.read_table(file)["key"].to_pylist()]
        return sorted(key.removeprefix(f"{images}/") for key in found)

    rows = [
        f"{name}/{number:04d}.png,{box % 2},{4 * box},0,20,{20 + box}"
        for name in ("lying", "upright")
        for number in range(3)
        for box in range(2)
    ]
    first = run([*rows, "lying/0000.png,0,0,0,500,9"])
    assert len(keys(first)) == 12
    assert first.manifest.rejects_by_reason == {"box_outside": 1}
    assert run([*rows, "lying/0000.png,0,0,0,500,9"]).num_changed == 0
    changed = ["lying/0000.png,0,1,2,20,20", *rows[1:]]
    second = run(changed, prune=True)
    assert set(keys(second)) - set(keys(first)) == {"lying/0000.png#xywh=1,2,20,20"}
    assert set(keys(first)) - set(keys(second)) == {"lying/0000.png#xywh=0,0,20,20"}
    assert second.manifest.rejects_by_reason == {}
