from __future__ import annotations

from pathlib import Path
from typing import Callable

from pyspark.sql import SparkSession

from halftone.config import Config
from halftone.dataset import manifest
from halftone.preprocess.run import preprocess
from halftone.retrain.drift import count_rows
from halftone.retrain.state import snapshot
from retrained import draw

Make = Callable[..., Config]


def make(spark: SparkSession, config: Make, root: Path, prune: bool = False) -> manifest.Manifest:
    settings = config(preprocess={"rows_per_shard": 16, "near_duplicates": "off"})
    return preprocess(
        settings, str(root / "images"), str(root / "dataset"), lambda: spark, prune=prune
    ).manifest


def test_snapshot_does_not_change_and_new_rows_are_counted_since_it(
    spark: SparkSession, config: Make, tmp_path: Path
) -> None:
    draw(tmp_path / "images", "a", 40, 100)
    first = make(spark, config, tmp_path)
    snapshot_1 = snapshot.take_snapshot(str(tmp_path / "dataset"), first, str(tmp_path))
    assert snapshot_1 == f"{tmp_path}/datasets/000001-{first.fingerprint[:8]}"
    counts_1 = count_rows.count_dataset_rows(snapshot_1, None, {}, lambda: spark)
    assert counts_1.before.classes == {}
    assert counts_1.new.classes == {"lying": 40, "upright": 40}
    assert set(counts_1.by_shard) == {file.digest for file in first.files}

    removed = draw(tmp_path / "images", "b", 3, 900)[:2]
    changed = tmp_path / "images" / "lying" / "a-000.png"
    draw(tmp_path / "other", "a", 1, 5000)
    changed.write_bytes((tmp_path / "other" / "lying" / "a-000.png").read_bytes())
    second = make(spark, config, tmp_path)
    for path in removed:
        path.unlink()
    third = make(spark, config, tmp_path, prune=True)
    # The third version no longer has the short shards of the first one.
    assert (first.version, second.version, third.version) == (1, 2, 3)
    assert manifest.read_manifest(snapshot_1) == first
    assert all((Path(snapshot_1) / file.path).exists() for file in first.files)
    (unchanged, *_) = {file.path for file in first.files} & {file.path for file in third.files}
    assert (Path(snapshot_1) / unchanged).stat().st_nlink == 2  # a hard link, not a copy

    snapshot_3 = snapshot.take_snapshot(str(tmp_path / "dataset"), third, str(tmp_path))
    assert snapshot_3 == snapshot.take_snapshot(str(tmp_path / "dataset"), third, str(tmp_path))
    counts_3 = count_rows.count_dataset_rows(
        snapshot_3, snapshot_1, counts_1.by_shard, lambda: spark
    )
    assert counts_3.before.classes == {"lying": 40, "upright": 40}
    assert counts_3.new.classes == {"lying": 2, "upright": 3}  # one lying image has changed
    assert sum(counts_3.new.histograms["pixel mean"]) == 5
    again = count_rows.count_dataset_rows(snapshot_3, snapshot_3, counts_3.by_shard, lambda: spark)
    assert again.new.classes == {}
    assert count_rows.from_json(count_rows.as_json(counts_3.by_shard)) == counts_3.by_shard
