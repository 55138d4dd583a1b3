"""Both ways to the batches of an epoch, over real shards."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Callable

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from halftone import storage
from halftone.dataset import schema
from halftone.dataset.manifest import ShardFile
from halftone.errors import RunError
from halftone.feed import epoch_plan, pipeline
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.pipeline import BatchSource, CachedSource, StreamedSource
from halftone.feed.world import World

SHAPE = (2, 3, 1)
ROWS = 23
Make = Callable[[EpochPlan, World], BatchSource]


@pytest.fixture
def shards(tmp_path: Path) -> list[ShardFile]:
    return written(tmp_path, SHAPE)


def written(root: Path, shape: tuple[int, int, int]) -> list[ShardFile]:
    """Six shards of 4 rows and less; row n has the label n % 3, and all its pixels are n."""
    made = []
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
        made.append(ShardFile(path=path, split="train", rows=len(numbers), size_bytes=1, digest=""))
    return made


@pytest.fixture(params=["kept", "streamed"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def make_(plan: EpochPlan, world: World) -> BatchSource:
        if request.param == "kept":
            return CachedSource(str(tmp_path), SHAPE, world, plan)
        return StreamedSource(str(tmp_path), SHAPE, world, plan.rank_batch_size)

    return make_


def rows(dataset: tf.data.Dataset) -> list[list[int]]:
    """The values of the rows that count, batch by batch; checks that labels came with them."""
    found = []
    for images, labels, weights in dataset.as_numpy_iterator():
        assert (images.dtype, labels.dtype, weights.dtype) == (np.uint8, np.int32, np.float32)
        assert images.shape[1:] == SHAPE
        assert labels.shape == (len(images), 1)
        counts = weights == 1.0
        assert ((images[counts] % 3)[:, 0, 0] == labels[counts]).all()
        assert (images == images[:, :1, :1]).all()
        found.append(images[counts, 0, 0, 0].tolist())
    return found


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def test_without_a_seed_rows_come_in_the_order_of_the_plan(
    shards: list[ShardFile], make: Make
) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 5)
    batches = rows(make(plan, World()).epoch_dataset(plan))
    assert batches == [[*range(0, 5)], [*range(5, 10)], [*range(10, 15)], [*range(15, 20)],
                       [20, 21, 22]]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3])
def test_over_all_ranks_each_row_comes_once_at_each_epoch(
    shards: list[ShardFile], make: Make, size: int
) -> None:
    plan = epoch_plan.plan_epoch(shards, size, 2 * size, seed=7, epoch=1)
    sources = [make(plan, World(rank, size)) for rank in range(size)]
    for text in ("7:1", "7:2"):
        of_ranks = [rows(source.epoch_dataset(plan, text)) for source in sources]
        assert {len(batches) for batches in of_ranks} == {plan.steps}
        assert sorted(row for batches in of_ranks for row in flat(batches)) == list(range(ROWS))


def test_a_seed_mixes_the_same_way_each_time_and_another_otherwise(
    shards: list[ShardFile], make: Make
) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    source = make(plan, World())
    first, other, again = (rows(source.epoch_dataset(plan, text)) for text in ("7:1", "7:2", "7:1"))
    assert again == first
    assert first != other
    assert flat(first) != sorted(flat(first))


def test_an_epoch_can_begin_at_a_later_step(shards: list[ShardFile], make: Make) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    whole = rows(make(plan, World()).epoch_dataset(plan, "7:1"))
    assert rows(make(plan, World()).epoch_dataset(plan, "7:1", first_step=2)) == whole[2:]
    assert rows(make(plan, World()).epoch_dataset(plan, "7:1", first_step=plan.steps)) == []


def test_steps_beyond_the_rows_are_filled(shards: list[ShardFile], make: Make) -> None:
    plan = epoch_plan.plan_epoch(shards, 1, 4, seed=7, epoch=1, aggregate_steps=4)
    batches = rows(make(plan, World()).epoch_dataset(plan, "7:1"))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 3, 0, 0]


@pytest.mark.parametrize("source", [CachedSource, StreamedSource])
def test_batches_that_are_held_stay_as_they_were(tmp_path: Path, source: type[BatchSource]) -> None:
    shape = (8, 8, 1)  # 64 bytes: TensorFlow takes them over, in place of a copy
    plan = epoch_plan.partition_shards(written(tmp_path, shape), 1, 4)
    last = plan if source is CachedSource else plan.rank_batch_size
    made = source(str(tmp_path), shape, World(), last)
    held = [list(made.epoch_dataset(plan, text)) for text in ("7:1", "7:2", "7:3")]
    for epoch in held:
        pixels = np.concatenate([images.numpy() for images, _, _ in epoch])
        label_ids = np.concatenate([labels.numpy() for _, labels, _ in epoch])
        assert (pixels[:ROWS] % 3 == label_ids[:ROWS, :, np.newaxis, np.newaxis]).all()
        assert sorted(pixels[:ROWS, 0, 0, 0]) == list(range(ROWS))


def test_kept_rows_are_mixed_over_all_shards(shards: list[ShardFile], tmp_path: Path) -> None:
    plan = epoch_plan.partition_shards(shards, 1, ROWS)
    source = CachedSource(str(tmp_path), SHAPE, World(), plan)
    first = {rows(source.epoch_dataset(plan, f"7:{epoch}"))[0][0] for epoch in range(200)}
    assert first == set(range(ROWS))


def test_kept_rows_are_those_of_one_plan(shards: list[ShardFile], tmp_path: Path) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    source = CachedSource(str(tmp_path), SHAPE, World(), plan)
    with pytest.raises(ValueError, match="rows that are kept are those of one plan"):
        source.epoch_dataset(epoch_plan.partition_shards(shards[:2], 1, 4))


def test_what_fits_is_a_quarter_of_the_memory_for_all_ranks_of_a_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "_available_memory_bytes", lambda: 1000)
    assert pipeline.fits_in_memory(250, local_size=1)
    assert not pipeline.fits_in_memory(251, local_size=1)
    assert pipeline.fits_in_memory(125, local_size=2)
    assert not pipeline.fits_in_memory(126, local_size=2)


def test_why_rows_could_not_be_read_is_told_in_our_words(
    make: Make, shards: list[ShardFile], tmp_path: Path
) -> None:
    plan = epoch_plan.partition_shards(shards, 1, 4)
    (tmp_path / shards[3].path).unlink()

    def read() -> None:
        source = make(plan, World())
        with pipeline.raise_read_errors(source):
            rows(source.epoch_dataset(plan))

    with pytest.raises(RunError) as caught:
        read()
    assert str(caught.value) == (
        f"{tmp_path}/train/3.parquet is missing; restore it, or run preprocess again with a new "
        "--output"
    )


def test_another_error_of_tensorflow_stays_what_it_is(make: Make, shards: list[ShardFile]) -> None:
    source = make(epoch_plan.partition_shards(shards, 1, 4), World())
    with pytest.raises(tf.errors.InvalidArgumentError), pipeline.raise_read_errors(source):
        tf.reshape(tf.zeros(3), (2, 2))
