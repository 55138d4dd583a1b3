"""Cached and streamed batches of an epoch, from real shards."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from halftone import storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.shard_files import ShardFile
from halftone.errors import InputError
from halftone.feed import epoch_plan, pipeline
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.pipeline import BatchSource, CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.images import encode_pixels
from halftone.system import machine

SHAPE = (2, 3, 1)
PIXELS = PixelSpec(height_px=2, width_px=3)
ROWS = 23
MakeSource = Callable[[EpochPlan, World], BatchSource]


@pytest.fixture
def shards(tmp_path: Path) -> list[ShardFile]:
    return write_shards(tmp_path, SHAPE)


def write_shards(root: Path, shape: tuple[int, int, int]) -> list[ShardFile]:
    """Write six shards of at most 4 rows; row n has the label n % 3, and all its pixels are n."""
    shards = []
    for index, start in enumerate(range(0, ROWS, 4)):
        numbers = range(start, min(start + 4, ROWS))
        table = pa.table(
            {
                schema.LABEL_ID: pa.array([n % 3 for n in numbers], pa.int32()),
                schema.IMAGE: [bytes([n]) * math.prod(shape) for n in numbers],
            }
        )
        path = f"train/{index}.parquet"
        storage.write_table(str(root / path), table)
        shards.append(
            ShardFile(path=path, split="train", rows=len(numbers), size_bytes=1, digest="")
        )
    return shards


@pytest.fixture(params=["cached", "streamed"])
def make_source(request: pytest.FixtureRequest, tmp_path: Path) -> MakeSource:
    def make(plan: EpochPlan, world: World) -> BatchSource:
        if request.param == "cached":
            return CachedSource(str(tmp_path), PIXELS, world, plan)
        return StreamedSource(str(tmp_path), PIXELS, world, plan.rank_batch_size)

    return make


def rows(dataset: tf.data.Dataset) -> list[list[int]]:
    """The pixel values of the rows that count, by batch; checks the labels."""
    batches = []
    for images, labels, weights in dataset.as_numpy_iterator():
        assert (images.dtype, labels.dtype, weights.dtype) == (np.uint8, np.int32, np.float32)
        assert images.shape[1:] == SHAPE
        assert labels.shape == (len(images), 1)
        assert ((images % 3)[:, 0, 0] == labels).all()
        assert (images == images[:, :1, :1]).all()
        batches.append(images[weights == 1.0, 0, 0, 0].tolist())
    return batches


def flatten(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def test_rows_without_a_seed_keep_the_order_of_the_plan(
    shards: list[ShardFile], make_source: MakeSource
) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 5)
    batches = rows(make_source(plan, World()).epoch_dataset(plan))
    assert batches == [[*range(0, 5)], [*range(5, 10)], [*range(10, 15)], [*range(15, 20)],
                       [20, 21, 22]]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_row_comes_once_per_epoch_over_all_ranks(
    shards: list[ShardFile], make_source: MakeSource, size: int
) -> None:
    plan = epoch_plan.plan_epoch(shards, size, 2 * size, seed=7, epoch=1)
    sources = [make_source(plan, World(rank, size)) for rank in range(size)]
    for seed in ("7:1", "7:2"):
        rank_batches = [rows(source.epoch_dataset(plan, seed)) for source in sources]
        assert {len(batches) for batches in rank_batches} == {plan.steps}
        assert sorted(row for batches in rank_batches for row in flatten(batches)) == list(
            range(ROWS)
        )


def test_shuffle_is_a_function_of_the_seed(
    shards: list[ShardFile], make_source: MakeSource
) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    source = make_source(plan, World())
    first, other, again = (rows(source.epoch_dataset(plan, seed)) for seed in ("7:1", "7:2", "7:1"))
    assert again == first
    assert first != other
    assert flatten(first) != sorted(flatten(first))


def test_epoch_can_start_at_a_later_step(shards: list[ShardFile], make_source: MakeSource) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    all_batches = rows(make_source(plan, World()).epoch_dataset(plan, "7:1"))
    assert (
        rows(make_source(plan, World()).epoch_dataset(plan, "7:1", first_step=2)) == all_batches[2:]
    )
    assert rows(make_source(plan, World()).epoch_dataset(plan, "7:1", first_step=plan.steps)) == []


@pytest.mark.parametrize(
    ("size", "rank", "batch", "counts"),
    [
        (1, 0, 5, [5, 5, 5, 5, 3]),
        (1, 0, 22, [22, 1]),
        (1, 0, 60, [23]),  # its rows fill the batch more than once
        (2, 1, 22, [11, 1]),
        (2, 0, 22, [11, 0]),  # another rank has one row more
    ],
)
def test_first_rows_of_the_epoch_fill_the_last_batch(
    shards: list[ShardFile],
    make_source: MakeSource,
    size: int,
    rank: int,
    batch: int,
    counts: list[int],
) -> None:
    plan = epoch_plan.plan_epoch(shards, size, batch, seed=7, epoch=1)
    source = make_source(plan, World(rank, size))
    for seed in ("", "7:1", "7:2"):
        dataset = source.epoch_dataset(plan, seed)
        num_rows = sum(counts)
        assert [len(real) for real in rows(dataset)] == counts
        batches = list(dataset.as_numpy_iterator())
        weights = np.concatenate([weights for _, _, weights in batches])
        assert weights.tolist() == [1.0] * num_rows + [0.0] * (len(weights) - num_rows)
        pixels = np.concatenate([images for images, _, _ in batches])[:, 0, 0, 0].tolist()
        repeated = pixels[:num_rows] * len(pixels)
        assert pixels == repeated[: len(pixels)]


def test_rank_without_rows_gets_black_images(
    shards: list[ShardFile], make_source: MakeSource
) -> None:
    plan = epoch_plan.partition_shards(shards[5:], 5, 5)  # 3 rows
    [(images, labels, weights)] = make_source(plan, World(0, 5)).epoch_dataset(plan)
    assert (images.numpy().any(), labels.numpy().tolist(), weights.numpy().tolist()) == (
        False,
        [[0]],
        [0.0],
    )


def write_noise(root: Path, pixels: PixelSpec) -> list[ShardFile]:
    """Write four shards of 5 rows of noise, the same for every encoding."""
    rng = np.random.default_rng(5)
    shards = []
    for index in range(4):
        noise = rng.integers(0, 256, (5, *pixels.shape), np.uint8)
        table = pa.table(
            {
                schema.LABEL_ID: pa.array(rng.integers(0, 3, 5), pa.int32()),
                schema.IMAGE: [encode_pixels(image, pixels) for image in noise],
            }
        )
        path = f"train/{index}.parquet"
        storage.write_table(str(root / path), table)
        shards.append(ShardFile(path=path, split="train", rows=5, size_bytes=1, digest=""))
    return shards


def open_source(kind: str, root: Path, pixels: PixelSpec, plan: EpochPlan) -> BatchSource:
    if kind == "cached":
        return CachedSource(str(root), pixels, World(), plan)
    return StreamedSource(str(root), pixels, World(), plan.rank_batch_size)


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_png_gives_the_batches_of_raw_pixels_to_the_bit(tmp_path: Path, kind: str) -> None:
    batches = []
    for encoding in ("raw", "png"):
        pixels = PixelSpec(height_px=6, width_px=5, channels=3, encoding=encoding)
        root = tmp_path / encoding
        plan = epoch_plan.plan_epoch(write_noise(root, pixels), 1, 3, seed=7, epoch=1)
        source = open_source(kind, root, pixels, plan)
        batches.append(
            [
                [array.tobytes() for array in batch]
                for seed in ("7:1", "7:2")
                for batch in source.epoch_dataset(plan, seed).as_numpy_iterator()
            ]
        )
    assert batches[0] == batches[1]
    assert len(batches[0]) == 14


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_jpegs_are_decoded_in_the_order_of_the_plan(tmp_path: Path, kind: str) -> None:
    pixels = PixelSpec(height_px=6, width_px=5, channels=3, encoding="jpeg")
    shards = write_noise(tmp_path, pixels)
    plan = epoch_plan.partition_shards(shards, 1, 20)
    [(got, _, _)] = open_source(kind, tmp_path, pixels, plan).epoch_dataset(plan)
    expected = [
        cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR_RGB)
        for shard in shards
        for stored in storage.read_table(str(tmp_path / shard.path))["image"].to_pylist()
    ]
    np.testing.assert_array_equal(got.numpy(), expected)


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_a_damaged_image_is_an_error_with_its_shard_and_row(tmp_path: Path, kind: str) -> None:
    pixels = PixelSpec(height_px=6, width_px=5, channels=3, encoding="jpeg")
    shards = write_noise(tmp_path, pixels)
    url = str(tmp_path / shards[2].path)
    table = storage.read_table(url)
    stored = table["image"].to_pylist()
    stored[4] = stored[4][:-20]
    storage.write_table(url, table.set_column(1, "image", pa.array(stored)))
    plan = epoch_plan.partition_shards(shards, 2, 6)

    def read() -> None:
        rank = World(1, 2)  # its first row is the first of the third shard
        if kind == "cached":
            source: BatchSource = CachedSource(str(tmp_path), pixels, rank, plan)
        else:
            source = StreamedSource(str(tmp_path), pixels, rank, plan.rank_batch_size)
        with pipeline.raise_read_errors(source):
            for _ in source.epoch_dataset(plan, "7:1"):
                pass

    with pytest.raises(InputError) as caught:
        read()
    assert str(caught.value) == (
        f"{url}: the image of row 4 is damaged (Premature end of JPEG file); restore it, or run "
        "preprocess again with a new --output"
    )


@pytest.mark.parametrize("source_type", [CachedSource, StreamedSource])
def test_batches_stay_unchanged_while_they_are_referenced(
    tmp_path: Path, source_type: type[BatchSource]
) -> None:
    shape = (8, 8, 1)  # 64 bytes: aligned, so that TensorFlow uses them without a copy
    plan = epoch_plan.partition_shards(write_shards(tmp_path, shape), 1, 4)
    last_argument = plan if source_type is CachedSource else plan.rank_batch_size
    source = source_type(str(tmp_path), PixelSpec(height_px=8, width_px=8), World(), last_argument)
    epochs = [list(source.epoch_dataset(plan, seed)) for seed in ("7:1", "7:2", "7:3")]
    for epoch in epochs:
        pixels = np.concatenate([images.numpy() for images, _, _ in epoch])
        label_ids = np.concatenate([labels.numpy() for _, labels, _ in epoch])
        assert (pixels[:ROWS] % 3 == label_ids[:ROWS, :, np.newaxis, np.newaxis]).all()
        assert sorted(pixels[:ROWS, 0, 0, 0]) == list(range(ROWS))


def test_cached_rows_are_shuffled_over_all_shards(shards: list[ShardFile], tmp_path: Path) -> None:
    plan = epoch_plan.partition_shards(shards, 1, ROWS)
    source = CachedSource(str(tmp_path), PIXELS, World(), plan)
    first_rows = {rows(source.epoch_dataset(plan, f"7:{epoch}"))[0][0] for epoch in range(200)}
    assert first_rows == set(range(ROWS))


def test_cached_source_refuses_another_plan(shards: list[ShardFile], tmp_path: Path) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    source = CachedSource(str(tmp_path), PIXELS, World(), plan)
    with pytest.raises(ValueError, match="serves one plan only"):
        source.epoch_dataset(epoch_plan.partition_shards(shards[:2], 1, 4))


def test_ranks_of_a_machine_may_cache_a_quarter_of_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "usable_memory_bytes", lambda: 1000)
    assert pipeline.fits_in_memory(250, local_size=1)
    assert not pipeline.fits_in_memory(251, local_size=1)
    assert pipeline.fits_in_memory(125, local_size=2)
    assert not pipeline.fits_in_memory(126, local_size=2)


def test_read_error_is_raised_in_place_of_the_tensorflow_error(
    make_source: MakeSource, shards: list[ShardFile], tmp_path: Path
) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    (tmp_path / shards[3].path).unlink()

    def read() -> None:
        source = make_source(plan, World())
        with pipeline.raise_read_errors(source):
            rows(source.epoch_dataset(plan))

    with pytest.raises(InputError) as caught:
        read()
    assert str(caught.value) == (
        f"{tmp_path}/train/3.parquet is missing; restore it, or run preprocess again with a new "
        "--output"
    )


def test_other_tensorflow_errors_are_raised_unchanged(
    make_source: MakeSource, shards: list[ShardFile]
) -> None:
    source = make_source(epoch_plan.partition_shards(shards, 1, 4), World())
    with pytest.raises(tf.errors.InvalidArgumentError), pipeline.raise_read_errors(source):
        tf.reshape(tf.zeros(3), (2, 2))
