from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halftone import storage
from halftone.retrain.drift import statistics
from halftone.retrain.drift.statistics import BINS, EMPTY, ImageStatistics
from shard_rows import row, rows_table


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
    all_rows, new = statistics.count_shard(shard, [])
    assert all_rows == new
    assert all_rows.classes == {"comic": 1, "photo": 2}
    histograms = {name: bins(counts) for name, counts in all_rows.histograms.items()}
    assert histograms == {
        "pixel mean": {25: 3},  # 100 and 102 of 256
        "pixel deviation": {0: 2, 50: 1},  # 100 of 128
        "image size": {22: 3},  # 2**11 pixels
        "file size": {20: 3},  # 2**10 bytes
    }


def test_known_rows_are_not_new(shard: str) -> None:
    all_rows, new = statistics.count_shard(shard, [0])
    assert all_rows.classes == {"comic": 1, "photo": 2}
    assert new.classes == {"comic": 1, "photo": 1}
    assert bins(new.histograms["pixel deviation"]) == {0: 1, 50: 1}


def test_statistics_add_up(shard: str) -> None:
    all_rows, _ = statistics.count_shard(shard, [])
    both = statistics.sum_statistics([all_rows, EMPTY, all_rows])
    assert both.classes == {"comic": 2, "photo": 4}
    assert bins(both.histograms["pixel mean"]) == {25: 6}
    assert (
        statistics.sum_statistics([])
        == EMPTY
        == ImageStatistics({}, {name: [0] * BINS for name in EMPTY.histograms})
    )
