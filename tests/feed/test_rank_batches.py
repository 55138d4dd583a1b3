"""Batches of real shards, read through Petastorm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from halftone import storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.shard_files import ShardFile
from halftone.errors import InputError
from halftone.feed import epoch_plan, rank_batches
from halftone.feed.buffers import BufferPool
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.world import World

SHAPE = (2, 3, 1)
PIXELS = PixelSpec(height_px=2, width_px=3)
# images (batch, 2, 3, 1), labels (batch,), weights (batch,)
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def shards(tmp_path: Path) -> list[ShardFile]:
    """Shards of 5, 5, 5 and 2 rows; row n has the label n % 3 and six pixels of value n."""
    shards, num_rows = [], 0
    for index, rows in enumerate((5, 5, 5, 2)):
        numbers = list(range(num_rows, num_rows + rows))
        table = pa.table(
            {
                schema.KEY: [str(n) for n in numbers],
                schema.LABEL_ID: pa.array([n % 3 for n in numbers], pa.int32()),
                schema.IMAGE: [bytes([n] * 6) for n in numbers],
            }
        )
        path = f"train/{index}.parquet"
        size_bytes = storage.write_table(str(tmp_path / path), table)
        shards.append(
            ShardFile(path=path, split="train", rows=rows, size_bytes=size_bytes, digest="")
        )
        num_rows += rows
    return shards


def read(root: Path, plan: EpochPlan, size: int = 1, shuffle_seed: str = "") -> list[list[Batch]]:
    """The batches of each rank."""
    return [
        [
            batch
            for block in rank_batches.read_batches(
                str(root), PIXELS, plan, World(rank, size), shuffle_seed, BufferPool()
            )
            for batch in zip(*block)
        ]
        for rank in range(size)
    ]


def real_rows(batches: list[Batch]) -> list[int]:
    """The pixel value of every row that counts; checks its label."""
    rows = []
    for images, labels, weights in batches:
        for image, label, weight in zip(images, labels, weights):
            if weight:
                assert (image == image[0, 0, 0]).all()
                assert image[0, 0, 0] % 3 == label
                rows.append(int(image[0, 0, 0]))
    return rows


def test_batches_have_one_shape_and_dtype_and_rows_that_fill_have_weight_0(
    shards: list[ShardFile], tmp_path: Path
) -> None:
    [batches] = read(tmp_path, epoch_plan.partition_shards(shards, 1, 4))
    assert [images.shape for images, _, _ in batches] == [(4, 2, 3, 1)] * 5
    assert {images.dtype for images, _, _ in batches} == {np.dtype(np.uint8)}
    assert {labels.dtype for _, labels, _ in batches} == {np.dtype(np.int32)}
    assert [weights.tolist() for _, _, weights in batches] == [[1, 1, 1, 1]] * 4 + [[1, 0, 0, 0]]
    last_images, last_labels, _ = batches[-1]
    assert last_images[:, 0, 0, 0].tolist() == [16, 0, 1, 2]
    assert last_labels.tolist() == [1, 0, 1, 2]


def test_rows_without_a_seed_keep_the_order_of_the_plan(
    shards: list[ShardFile], tmp_path: Path
) -> None:
    [batches] = read(tmp_path, epoch_plan.partition_shards(shards, 1, 4))
    assert real_rows(batches) == list(range(17))


def test_shuffle_is_a_function_of_the_seed(shards: list[ShardFile], tmp_path: Path) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    [[first], [again], [other]] = (read(tmp_path, plan, 1, seed) for seed in ("1:1", "1:1", "1:2"))
    assert real_rows(first) == real_rows(again)
    assert real_rows(first) != real_rows(other)
    assert sorted(real_rows(first)) == sorted(real_rows(other)) == list(range(17))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_each_row_comes_once_over_all_ranks_in_equal_steps(
    shards: list[ShardFile], tmp_path: Path, size: int
) -> None:
    for epoch in (1, 2):
        plan = epoch_plan.plan_epoch(shards, size, 2 * size, seed=7, epoch=epoch)
        batches_by_rank = read(tmp_path, plan, size, f"7:{epoch}")
        assert {len(batches) for batches in batches_by_rank} == {plan.steps}
        assert sorted(row for batches in batches_by_rank for row in real_rows(batches)) == list(
            range(17)
        )


def test_rank_without_rows_gets_rows_of_weight_0(shards: list[ShardFile], tmp_path: Path) -> None:
    plan = epoch_plan.partition_shards(shards[3:], 3, 3)
    batches_by_rank = read(tmp_path, plan, 3)
    assert [real_rows(batches) for batches in batches_by_rank] == [[], [15], [16]]
    assert [len(batches) for batches in batches_by_rank] == [1, 1, 1]


def test_missing_rows_are_an_error(shards: list[ShardFile], tmp_path: Path) -> None:
    wrong_shard = replace(shards[0], rows=6)
    with pytest.raises(InputError) as caught:
        read(tmp_path, epoch_plan.partition_shards([wrong_shard, *shards[1:]], 1, 4))
    assert str(caught.value) == (
        f"{tmp_path}/train/0.parquet has 5 rows, the manifest has 6; restore it, or run "
        "preprocess again with a new --output"
    )


def test_damaged_or_missing_shard_is_an_error(shards: list[ShardFile], tmp_path: Path) -> None:
    path = tmp_path / shards[2].path
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError) as caught:
        read(tmp_path, epoch_plan.partition_shards(shards, 1, 4))
    assert str(caught.value) == (
        f"{path} is damaged (Parquet magic bytes not found in footer. Either the file is "
        "corrupted or this is not a parquet file.); restore it, or run preprocess again with a new "
        "--output"
    )
    path.unlink()
    with pytest.raises(InputError) as caught:
        read(tmp_path, epoch_plan.partition_shards(shards, 1, 4))
    assert str(caught.value) == (
        f"{path} is missing; restore it, or run preprocess again with a new --output"
    )


def test_path_with_any_characters_is_read(shards: list[ShardFile], tmp_path: Path) -> None:
    root = tmp_path / "a #?%20[1]*&ü"
    (root / "train").mkdir(parents=True)
    for shard in shards:
        (tmp_path / shard.path).rename(root / shard.path)
    [batches] = read(root, epoch_plan.partition_shards(shards, 1, 4))
    assert real_rows(batches) == list(range(17))
