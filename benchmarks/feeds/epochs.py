"""A training epoch of the smallest network, logistic regression, fed in three ways.

Network, loss, optimizer and the number of rows a step are the same in all; so is what makes a
training repeatable.
"""

from __future__ import annotations

import tensorflow as tf

from feeds import ours
from feeds.rows import BATCH, SEED, Pass, Task, whole
from halftone import models
from halftone.config import Mlp
from halftone.dataset import manifest
from halftone.feed.pipeline import BatchSource
from halftone.feed.world import World
from halftone.training import determinism


def from_tensors(task: Task) -> Pass:
    """Keras' own way with rows in memory: `fit(x, y)`, shuffled whole."""
    determinism.configure_process(World(), SEED, "float32")
    pixels, label_ids = map(tf.constant, whole(task))
    network = _network(task)

    def epoch(number: int) -> int:
        network.fit(pixels, label_ids, batch_size=BATCH, shuffle=True, verbose=0)
        return len(label_ids)

    return epoch


def from_kept(task: Task) -> Pass:
    return _fed(task, ours.kept_source(task), is_kept=True)


def from_streamed(task: Task) -> Pass:
    return _fed(task, ours.streamed_source(task), is_kept=False)


def _fed(task: Task, source: BatchSource, is_kept: bool) -> Pass:
    network = _network(task)

    def epoch(number: int) -> int:
        plan = ours.plan(task, 1 if is_kept else number)
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
