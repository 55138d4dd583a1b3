"""A training epoch of the smallest network, logistic regression, fed in three ways.

All use the same network, loss, optimizer, number of rows per step, and settings for determinism.
"""

from __future__ import annotations

import tensorflow as tf

from feeds import ours
from feeds.rows import BATCH, SEED, Pass, Task, read_all
from halftone import models
from halftone.config import Mlp
from halftone.dataset import manifest
from halftone.feed.pipeline import BatchSource
from halftone.feed.world import World
from halftone.training import determinism


def from_tensors(task: Task) -> Pass:
    """Keras' `fit(x, y)` with rows in memory, fully shuffled."""
    determinism.configure_process(World(), SEED, "float32")
    pixels, label_ids = map(tf.constant, read_all(task))
    network = _network(task)

    def epoch(number: int) -> int:
        network.fit(pixels, label_ids, batch_size=BATCH, shuffle=True, verbose=0)
        return len(label_ids)

    return epoch


def from_cached(task: Task) -> Pass:
    return _train_from(task, ours.cached_source(task), is_cached=True)


def from_streamed(task: Task) -> Pass:
    return _train_from(task, ours.streamed_source(task), is_cached=False)


def _train_from(task: Task, source: BatchSource, is_cached: bool) -> Pass:
    network = _network(task)

    def epoch(number: int) -> int:
        plan = ours.plan_epoch(task, 1 if is_cached else number)
        rows = source.epoch_dataset(plan, f"{SEED}:{number}:0")
        network.fit(rows, steps_per_epoch=plan.steps, verbose=0)
        return plan.count_rows(0)

    return epoch


def _network(task: Task) -> tf.keras.Model:
    num_classes = len(manifest.read_manifest(task.dataset).labels)
    settings = Mlp(hidden=()).model_dump()
    network = models.build_model(settings, task.shape(), num_classes, "0..1")
    network.compile("adam", "binary_crossentropy", weighted_metrics=["accuracy"])
    return network
