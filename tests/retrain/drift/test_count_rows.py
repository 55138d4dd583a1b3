from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import PixelSpec
from halftone.dataset import manifest
from halftone.retrain.drift import count_rows
from halftone.retrain.drift.count_rows import count_dataset_rows
from shard_rows import row, rows_table

FLAT = np.full((4, 4), 102)


def no_session() -> SparkSession:
    raise AssertionError("no session is needed")


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A dataset and the version before it: two shards stay, one goes, and two come."""
    shards = {
        "stays": [row("a", "photo", FLAT), row("b", "comic", FLAT)],
        "goes": [row("c", "photo", FLAT), row("d", "photo", FLAT), row("e", "comic", FLAT)],
        "comes": [row("d", "photo", FLAT, b"x" * 16), row("f", "comic", FLAT)],
        "comes-too": [row("c", "photo", FLAT)],
    }
    names = {"before": ["stays", "goes"], "now": ["comes", "stays", "comes-too"]}
    files = {}
    for version, names_of_version in names.items():
        for name in names_of_version:
            storage.write_table(f"{tmp_path}/{version}/{name}", rows_table(shards[name]))
        files[f"{tmp_path}/{version}"] = [
            SimpleNamespace(path=name, digest=f"digest of {name}", rows=len(shards[name]))
            for name in names_of_version
        ]
    pixels = PixelSpec(height_px=4, width_px=4, channels=1)
    monkeypatch.setattr(manifest, "read_manifest", lambda _: SimpleNamespace(pixels=pixels))
    monkeypatch.setattr(manifest, "read_shards", lambda url, _: files[url])
    return f"{tmp_path}/now", f"{tmp_path}/before"


def test_all_rows_of_a_first_dataset_are_new(
    spark: SparkSession, datasets: tuple[str, str]
) -> None:
    _, before = datasets
    counts = count_dataset_rows(before, None, {}, lambda: spark)
    classes = {digest: of_shard.classes for digest, of_shard in counts.by_shard.items()}
    assert classes == {
        "digest of stays": {"comic": 1, "photo": 1},
        "digest of goes": {"comic": 1, "photo": 2},
    }
    assert counts.before.classes == {}
    assert counts.new.classes == {"comic": 2, "photo": 3}
    assert counts.new.histograms["pixel mean"][25] == 5
    assert counts.new_rows == [(f"{before}/goes", [0, 1, 2]), (f"{before}/stays", [0, 1])]


def test_rows_of_a_removed_shard_are_not_new(
    spark: SparkSession, datasets: tuple[str, str]
) -> None:
    now, before = datasets
    known = count_dataset_rows(before, None, {}, lambda: spark).by_shard
    assert count_rows.from_json(count_rows.as_json(known)) == known
    counts = count_dataset_rows(now, before, known, lambda: spark)
    classes = {digest: of_shard.classes for digest, of_shard in counts.by_shard.items()}
    assert list(classes.items()) == [
        ("digest of stays", {"comic": 1, "photo": 1}),
        ("digest of comes", {"comic": 1, "photo": 1}),
        ("digest of comes-too", {"photo": 1}),
    ]
    assert counts.before.classes == {"comic": 2, "photo": 3}
    assert counts.new.classes == {"comic": 1, "photo": 1}  # f, and d, whose file has changed
    assert sum(counts.new.histograms["file size"]) == 2
    assert counts.new_rows == [(f"{now}/comes", [0, 1])]
    assert count_dataset_rows(now, now, counts.by_shard, no_session).new.classes == {}
