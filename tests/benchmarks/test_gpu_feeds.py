from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gpu_feeds
import gpu_rates
import gpu_runs
from halftone.config import config_from_mapping
from halftone.dataset.manifest import read_manifest
from halftone.feed.world import World

ROWS, BATCH = 24, 4


@pytest.mark.parametrize("rank", [0, 1])
def test_all_feeds_have_the_rows_of_a_rank(tmp_path: Path, rank: int) -> None:
    gpu_runs.write_rows(tmp_path / "rows", ROWS, side_px=2)
    manifest = read_manifest(str(tmp_path / "rows"))
    train = {"cache": "none", "batch_size": 2 * BATCH, "ranks": 2}
    config = config_from_mapping({"name": "feeds", "train": train}, source="test")
    world = World(rank, 2, rank, 2)
    feed = gpu_feeds.AlternatingFeed(config, manifest, str(tmp_path / "rows"), world, rounds=0)
    epochs = {}
    for number, name in enumerate(gpu_rates.feed_order(0), 1):
        plan = feed.plan_train(number)
        source = feed.open_source("train", plan)
        batches = list(source.epoch_dataset(plan, f"7:{number}").as_numpy_iterator())
        pixels, labels, weights = (np.concatenate(parts) for parts in zip(*batches))
        assert (len(batches), pixels.shape, pixels.dtype) == (3, (12, 2, 2, 3), np.uint8)
        assert (labels.shape, weights.tolist()) == ((12, 1), [1.0] * 12)
        epochs[name] = [(row.tobytes(), int(label)) for row, (label,) in zip(pixels, labels)]
    assert len(set(epochs["kept"])) == 12
    assert sorted(epochs["tensors"]) == sorted(epochs["kept"])
    assert epochs["tensors"] != epochs["kept"]
    assert len(set(epochs["streamed"])) == 12
    assert epochs["one batch"] == 3 * epochs["one batch"][:BATCH]
    assert set(epochs["one batch"]) < set(epochs["kept"])
