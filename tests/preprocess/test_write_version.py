"""The files of a version; test_run.py tests them with all kinds of input."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages
from halftone.config import Config
from halftone.dataset import integrity, manifest
from halftone.dataset.manifest import Manifest, read_shards
from halftone.preprocess.run import preprocess


def test_a_dataset_is_the_same_if_its_shards_are_in_a_table(
    spark: SparkSession,
    tmp_path: Path,
    draw_images: DrawImages,
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = config(preprocess={"rows_per_shard": 8})
    images = draw_images(each=20)

    def update(name: str) -> Manifest:
        return preprocess(settings, str(images), str(tmp_path / name), lambda: spark).manifest

    first = update("listed")
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "MAX_LISTED_FILES", 1)
        assert update("table").files is None
    draw_images(start=20, each=25)
    listed = update("listed")
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "MAX_LISTED_FILES", 1)
        table = update("table")
        assert update("table") == table  # nothing has changed
    assert (table.files, table.files_table) == (None, "_versions/000002-files.parquet")
    assert table.fingerprint == listed.fingerprint != first.fingerprint
    root = str(tmp_path / "table")
    assert read_shards(root, table) == listed.files
    assert read_shards(root, table, "test") == read_shards("", listed, "test")
    assert manifest.read_manifest(root) == table
    integrity.check_all_files(root, table)
    paths = {
        name: sorted(
            str(path.relative_to(tmp_path / name))
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and "_lock" not in path.parts
        )
        for name in ("listed", "table")
    }
    tables = [f"_versions/00000{version}-files.parquet" for version in (1, 2)]
    assert paths["table"] == sorted([*paths["listed"], *tables])
