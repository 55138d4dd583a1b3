"""Batch normalisation's running statistics are those of the data, on any number of ranks."""

from __future__ import annotations

from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from halftone.config import TrainSettings
from halftone.dataset import manifest
from halftone.feed import epoch_plan, rank_batches
from halftone.feed.pipeline import CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.training.distributed_model import DistributedModel

SHAPE = (16, 16, 1)
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
    shards = manifest.read_manifest(dataset).shards("train")
    plan = epoch_plan.plan_epoch(shards, num_ranks, batch_size, seed=7, epoch=1)
    all_rows = epoch_plan.partition_shards(shards, 1, batch_size).rank_slices[0]
    images = np.concatenate(
        [part for part, _ in rank_batches.read_slices(dataset, SHAPE, all_rows)]
    )
    assert (len(images), plan.steps) == (77, 2)
    statistics = []
    for rank in range(num_ranks):
        model = normalising_network()
        settings = TrainSettings(aggregate_steps=aggregate_steps)
        model.compile_for_training(settings, num_classes=2, steps_per_epoch=plan.steps)
        last = plan if source_type is CachedSource else plan.rank_batch_size
        source = source_type(dataset, SHAPE, World(rank, num_ranks), last)
        for epoch in range(EPOCHS):
            model.reset_steps(0)
            batches = source.epoch_dataset(plan, f"7:{epoch}:{rank}")
            model.fit(batches, steps_per_epoch=plan.steps, verbose=0)
        statistics.append([array.item() for array in model.get_weights()[2:4]])
    initial = 0.9 ** (EPOCHS * plan.steps)  # what is left of the initial mean 0 and variance 1
    mean, variance = np.mean(statistics, axis=0)
    assert mean == pytest.approx((1 - initial) * (images / 255).mean(), rel=0.02)
    assert variance == pytest.approx((1 - initial) * (images / 255).var() + initial, rel=0.02)
