"""Batch normalisation's running statistics are those of the data, on any number of ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Union

import horovod.tensorflow as hvd
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from halftone import storage
from halftone.config import PixelSpec, TrainSettings
from halftone.dataset import manifest, schema
from halftone.dataset.shard_files import ShardFile
from halftone.feed import epoch_plan, rank_batches
from halftone.feed.pipeline import CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.training.distributed_model import DistributedModel

SHAPE = (16, 16, 1)
PIXELS = PixelSpec(height_px=16, width_px=16)
EPOCHS = 12


def normalising_network() -> DistributedModel:
    pixels = tf.keras.Input(SHAPE, dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 255)(pixels)
    x = tf.keras.layers.BatchNormalization(momentum=0.9)(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return DistributedModel(pixels, tf.keras.layers.Dense(1, activation="sigmoid")(x))


@pytest.mark.parametrize(
    ("source_type", "num_ranks", "batch_size", "aggregate_steps"),
    [
        (CachedSource, 1, 76, 1),
        (StreamedSource, 1, 76, 8),
        (CachedSource, 2, 76, 1),
        (CachedSource, 3, 75, 1),
    ],
)
def test_rows_that_fill_a_batch_do_not_distort_the_statistics(
    prepared_dataset: Path,
    source_type: type[CachedSource],
    num_ranks: int,
    batch_size: int,
    aggregate_steps: int,
) -> None:
    hvd.init()
    dataset = str(prepared_dataset)
    shards = manifest.read_shards(dataset, manifest.read_manifest(dataset), "train")
    plan = epoch_plan.plan_epoch(shards, num_ranks, batch_size, seed=7, epoch=1)
    all_rows = epoch_plan.partition_shards(shards, 1, batch_size).rank_slices[0]
    images = np.concatenate(
        [part.pixels() for part, _ in rank_batches.read_slices(dataset, PIXELS, all_rows)]
    )
    assert (len(images), plan.steps) == (77, 2)
    statistics = []
    for rank in range(num_ranks):
        model = normalising_network()
        settings = TrainSettings(aggregate_steps=aggregate_steps)
        model.compile_for_training(settings, num_classes=2, steps_per_epoch=plan.steps)
        last = plan if source_type is CachedSource else plan.rank_batch_size
        source = source_type(dataset, PIXELS, World(rank, num_ranks), last)
        for epoch in range(EPOCHS):
            model.reset_steps(0)
            batches = source.epoch_dataset(plan, f"7:{epoch}:{rank}")
            model.fit(batches, steps_per_epoch=plan.steps, verbose=0)
        statistics.append([array.item() for array in model.get_weights()[2:4]])
    initial = 0.9 ** (EPOCHS * plan.steps)  # what is left of the initial mean 0 and variance 1
    mean, variance = np.mean(statistics, axis=0)
    assert mean == pytest.approx((1 - initial) * (images / 255).mean(), rel=0.02)
    assert variance == pytest.approx((1 - initial) * (images / 255).var() + initial, rel=0.02)


ROWS, BATCH_SIZE = 129, 128
NUM_SEEDS, NUM_KERAS_EPOCHS = 10, 3


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Images whose brightness and contrast vary from row to row."""
    rng = np.random.default_rng(5)
    brightness = rng.uniform(110, 150, (ROWS, 1, 1, 1))
    contrast = rng.uniform(20, 100, (ROWS, 1, 1, 1))
    noise = rng.uniform(-1, 1, (ROWS, *SHAPE))
    return (brightness + contrast * noise).astype(np.uint8)


def write_shards(root: Path, images: np.ndarray) -> list[ShardFile]:
    shards = []
    for start in range(0, ROWS, 16):
        part = images[start : start + 16]
        path, labels = f"train/{start}.parquet", np.arange(len(part)) % 2
        table = pa.table(
            {
                schema.LABEL_ID: pa.array(labels, pa.int32()),
                schema.IMAGE: [image.tobytes() for image in part],
            }
        )
        storage.write_table(str(root / path), table)
        shards.append(ShardFile(path=path, split="train", rows=len(part), size_bytes=1, digest=""))
    return shards


def moving_statistics(model: tf.keras.Model) -> list[float]:
    return [array.item() for array in model.get_weights()[2:4]]


@pytest.fixture(scope="module")
def keras_statistics(images: np.ndarray) -> np.ndarray:
    """Moving mean and variance of plain Keras, (seeds, 2); its last batch has a single row."""
    network = normalising_network()
    model = tf.keras.Model(network.inputs, network.outputs)
    model.compile("sgd", "binary_crossentropy")
    initial_weights, statistics = model.get_weights(), []
    for seed in range(NUM_SEEDS):
        tf.keras.utils.set_random_seed(seed)
        model.set_weights(initial_weights)
        model.fit(images, np.arange(ROWS) % 2, BATCH_SIZE, NUM_KERAS_EPOCHS, verbose=0)
        statistics.append(moving_statistics(model))
    return np.array(statistics)


@pytest.mark.parametrize(
    ("source_type", "aggregate_steps"),
    [(CachedSource, 1), (StreamedSource, 1), (CachedSource, 8), (StreamedSource, 8)],
)
def test_statistics_are_within_the_spread_of_plain_keras(
    tmp_path: Path,
    images: np.ndarray,
    keras_statistics: np.ndarray,
    source_type: type[Union[CachedSource, StreamedSource]],
    aggregate_steps: int,
) -> None:
    hvd.init()
    plan = epoch_plan.plan_epoch(write_shards(tmp_path, images), 1, BATCH_SIZE, seed=7, epoch=1)
    assert plan.steps == 2
    model = normalising_network()
    settings = TrainSettings(aggregate_steps=aggregate_steps)
    model.compile_for_training(settings, num_classes=2, steps_per_epoch=plan.steps)
    last = plan if source_type is CachedSource else plan.rank_batch_size
    source = source_type(str(tmp_path), PIXELS, World(0, 1), last)
    for epoch in range(NUM_KERAS_EPOCHS):
        model.reset_steps(0)
        model.fit(source.epoch_dataset(plan, f"7:{epoch}"), steps_per_epoch=plan.steps, verbose=0)
    lowest, highest = keras_statistics.min(axis=0), keras_statistics.max(axis=0)
    # The mean of black images would be off by 0.1.
    assert (highest - lowest < [0.03, 0.01]).all()
    mean, variance = moving_statistics(model)
    assert lowest[0] < mean < highest[0]
    assert lowest[1] < variance < highest[1]
