"""Embeddings of a network whose last layer gets the pixels, so that they are known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import numpy as np
import pytest
from pyspark.sql import SparkSession

import saved_model
from halftone import storage
from halftone.config import Config, DriftSettings, PixelSpec
from halftone.dataset import manifest
from halftone.retrain.drift.embeddings import (
    EmbeddingDrift,
    describe_embedding_drift,
    find_embedding_drift,
)
from halftone.retrain.drift.row_samples import RowSample
from halftone.retrain.drift.step import summarise_findings
from shard_rows import row, rows_table

PIXELS = PixelSpec(height_px=4, width_px=4, channels=1)


def pictures(number: int, bright_side: str, seed: int) -> np.ndarray:
    """(number, 4, 4) uint8 with two bright rows at the top or at the bottom, and noise."""
    noise = np.random.default_rng(seed).normal(0, 30, (number, 4, 4))
    level = np.array([[180], [180], [80], [80]])
    level = level if bright_side == "top" else level[::-1]
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def write_shard(url: str, images: np.ndarray) -> int:
    rows = [row(f"{url}-{number}", "photo", image) for number, image in enumerate(images)]
    storage.write_table(url, rows_table(rows))
    return len(rows)


@pytest.fixture
def compare(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compare new pictures with those of an earlier dataset, whose bright rows are at the top."""
    folder = f"{tmp_path}/before"
    files = [
        SimpleNamespace(
            path=split,
            split=split,
            # Rows of the train split are of another kind: they must not count.
            rows=write_shard(f"{folder}/{split}", pictures(150, side, seed)),
        )
        for seed, (split, side) in enumerate(
            (("train", "bottom"), ("validation", "top"), ("test", "top"))
        )
    ]
    data = SimpleNamespace(pixels=PIXELS)
    monkeypatch.setattr(manifest, "read_manifest", lambda _: data)
    monkeypatch.setattr(manifest, "read_shards", lambda *_: files)

    def compare_(
        new: np.ndarray, champion_pixels: PixelSpec = PIXELS, **settings: Any
    ) -> Optional[EmbeddingDrift]:
        config = Config(pixels=champion_pixels)
        champion = saved_model.save(tmp_path / "champion", config, ["comic", "photo"])
        write_shard(f"{tmp_path}/new", new)
        # Row 0 is known.
        sample = RowSample(f"{tmp_path}/new", list(range(1, len(new))))
        drift_settings = DriftSettings(**settings)
        return find_embedding_drift(folder, [sample], str(champion), drift_settings, lambda: spark)

    return compare_


def test_new_images_like_those_before_are_no_drift(compare: Any) -> None:
    drift = compare(pictures(201, "top", seed=7))
    assert (drift.champion, drift.rows, drift.level) == ("v0.0", 200, "ok")
    assert 0.35 < drift.accuracy < drift.by_chance == 0.61


def test_another_picture_with_the_same_grey_levels_is_a_drift(compare: Any) -> None:
    drift = compare(pictures(201, "bottom", seed=7))
    assert (drift.accuracy, drift.level) == (1.0, "stop")
    assert compare(pictures(201, "bottom", seed=7), embedding_stop=1.0).level == "stop"
    half = np.concatenate([pictures(101, "top", seed=8), pictures(100, "bottom", seed=9)])
    drift = compare(half)
    assert 0.65 < drift.accuracy < 0.9
    assert drift.level == "warn"


def test_nothing_is_compared_with_too_few_rows_or_other_pixels(compare: Any) -> None:
    assert compare(pictures(20, "bottom", seed=7)) is None
    other = PixelSpec(height_px=4, width_px=4, channels=1, fit="crop")
    assert compare(pictures(201, "bottom", seed=7), champion_pixels=other) is None


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        ("ok", ""),
        ("warn", "embeddings (a classifier of new and earlier images is right for 83% of 1,200)"),
        ("stop", "embeddings (a classifier of new and earlier images is right for 83% of 1,200)"),
    ],
)
def test_a_drift_of_embeddings_decides_like_any_other(level: str, reason: str) -> None:
    drift = EmbeddingDrift("v0.0", 1200, 0.8312, 0.545, level)
    assert describe_embedding_drift(drift).startswith("embeddings (")
    entry = summarise_findings([], [], False, embeddings=drift)
    assert (entry["level"], entry["reason"]) == (level, reason)
    assert entry["embeddings"] == {
        "champion": "v0.0",
        "rows": 1200,
        "accuracy": 0.8312,
        "by_chance": 0.545,
        "level": level,
    }
    accepted = summarise_findings([], [], True, embeddings=drift)["level"]
    assert accepted == ("accepted" if level == "stop" else level)
