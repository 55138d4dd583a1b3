from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halftone import images, storage
from halftone.config import PixelSpec
from halftone.retrain.drift import statistics
from halftone.retrain.drift.statistics import BINS, EMPTY, ImageStatistics
from shard_rows import row, rows_table

PIXELS = PixelSpec(height_px=4, width_px=4)


@pytest.fixture
def shard(tmp_path: Path) -> str:
    flat, halves = np.full((4, 4), 102), np.repeat([[0, 200]], 8, axis=0)
    rows = [row("a", "photo", flat), row("b", "photo", halves), row("c", "comic", flat, b"x" * 16)]
    url = str(tmp_path / "shard.parquet")
    storage.write_table(url, rows_table(rows))
    return url


def bins(histogram: list[int]) -> dict[int, int]:
    return {number: count for number, count in enumerate(histogram) if count}


def test_rows_are_counted_by_class_and_measures(shard: str) -> None:
    all_rows, new = statistics.count_shard(PIXELS, shard, [])
    assert all_rows == new
    assert all_rows.classes == {"comic": 1, "photo": 2}
    histograms = {name: bins(counts) for name, counts in all_rows.histograms.items()}
    assert histograms == {
        "pixel mean": {25: 3},  # 100 and 102 of 256
        "pixel deviation": {0: 2, 50: 1},  # 100 of 128
        "image size": {22: 3},  # 2**11 pixels
        "file size": {20: 3},  # 2**10 bytes
    }


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_encoded_images_have_the_measures_of_their_pixels(tmp_path: Path, encoding: str) -> None:
    pixels = PIXELS.model_copy(update={"encoding": encoding})
    flat = np.full((4, 4, 1), 102, np.uint8)  # which JPEG keeps
    stored = {**row("a", "photo", flat), "image": images.encode_pixels(flat, pixels)}
    url = str(tmp_path / "shard.parquet")
    storage.write_table(url, rows_table([stored]))
    counts, _ = statistics.count_shard(pixels, url, [])
    assert bins(counts.histograms["pixel mean"]) == {25: 1}
    assert bins(counts.histograms["pixel deviation"]) == {0: 1}


def test_known_rows_are_not_new(shard: str) -> None:
    all_rows, new = statistics.count_shard(PIXELS, shard, [0])
    assert all_rows.classes == {"comic": 1, "photo": 2}
    assert new.classes == {"comic": 1, "photo": 1}
    assert bins(new.histograms["pixel deviation"]) == {0: 1, 50: 1}


def test_statistics_add_up(shard: str) -> None:
    all_rows, _ = statistics.count_shard(PIXELS, shard, [])
    both = statistics.sum_statistics([all_rows, EMPTY, all_rows])
    assert both.classes == {"comic": 2, "photo": 4}
    assert bins(both.histograms["pixel mean"]) == {25: 6}
    assert (
        statistics.sum_statistics([])
        == EMPTY
        == ImageStatistics({}, {name: [0] * BINS for name in EMPTY.histograms})
    )
