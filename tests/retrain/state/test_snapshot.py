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
    own = config(preprocess={"rows_per_shard": 16, "near_duplicates": "off"})
    return preprocess(
        own, str(root / "images"), str(root / "dataset"), lambda: spark, prune=prune
    ).manifest


def test_a_snapshot_stays_what_it_was_and_new_rows_are_those_since(
    spark: SparkSession, config: Make, tmp_path: Path
) -> None:
    draw(tmp_path / "images", "a", 40, 100)
    first = make(spark, config, tmp_path)
    kept = snapshot.take_snapshot(str(tmp_path / "dataset"), first, str(tmp_path))
    assert kept == f"{tmp_path}/datasets/000001-{first.fingerprint[:8]}"
    one = count_rows.count_dataset_rows(kept, None, {}, lambda: spark)
    assert one.before.classes == {}
    assert one.new.classes == {"lying": 40, "upright": 40}
    assert set(one.by_shard) == {file.digest for file in first.files}

    gone = draw(tmp_path / "images", "b", 3, 900)[:2]
    changed = tmp_path / "images" / "lying" / "a-000.png"
    draw(tmp_path / "other", "a", 1, 5000)
    changed.write_bytes((tmp_path / "other" / "lying" / "a-000.png").read_bytes())
    second = make(spark, config, tmp_path)
    for path in gone:
        path.unlink()
    third = make(spark, config, tmp_path, prune=True)
    # Two versions later the dataset itself has let go of the first one's short shards.
    assert (first.version, second.version, third.version) == (1, 2, 3)
    assert manifest.read_manifest(kept) == first
    assert all((Path(kept) / file.path).exists() for file in first.files)
    (stands, *_) = {file.path for file in first.files} & {file.path for file in third.files}
    assert (Path(kept) / stands).stat().st_nlink == 2  # no second copy of what stands

    now = snapshot.take_snapshot(str(tmp_path / "dataset"), third, str(tmp_path))
    assert now == snapshot.take_snapshot(str(tmp_path / "dataset"), third, str(tmp_path))
    two = count_rows.count_dataset_rows(now, kept, one.by_shard, lambda: spark)
    assert two.before.classes == {"lying": 40, "upright": 40}
    assert two.new.classes == {"lying": 2, "upright": 3}  # one of the lying ones has changed
    assert sum(two.new.histograms["pixel mean"]) == 5
    again = count_rows.count_dataset_rows(now, now, two.by_shard, lambda: spark)
    assert again.new.classes == {}
    assert count_rows.from_json(count_rows.as_json(two.by_shard)) == two.by_shard
