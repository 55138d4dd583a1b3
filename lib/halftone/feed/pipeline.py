"""Batches for Keras: streamed from the shards at each epoch, or kept in memory.

Both give, for an epoch, a tf.data.Dataset of `plan.steps` elements: pixels (B, H, W, C) uint8,
labels (B, 1) int32, weights (B,) float32, where B is `plan.rank_batch`, and the weight is 0 for a
row that only fills a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional, Protocol

import numpy as np
import psutil
import tensorflow as tf

from halftone.feed import buffers, rank_batches
from halftone.feed.buffers import Buffers
from halftone.feed.epoch_plan import Plan
from halftone.feed.rank_batches import Batches
from halftone.feed.world import World

# Keeping rows must leave room for the model, for Spark and for other jobs.
_KEPT_MEMORY_FRACTION = 0.25
_PREFETCH_BATCHES = 8
# Gathered at once: a batch alone is too little work for what it costs TensorFlow to ask for it.
_GATHERED_BATCHES = 16


class Source(Protocol):
    failure: Optional[Exception]  # why rows could not be read, while an epoch went on

    def epoch(self, plan: Plan, shuffle_seed: str = "", first_step: int = 0) -> tf.data.Dataset:
        """Give the batches of an epoch, from step `first_step` (from 0) on.

        Args:
            shuffle_seed: mixes the rows; without one they come in the order of the plan.
        """


class Streamed:
    """Reads its pieces anew at each epoch; rows are mixed a few pieces at a time."""

    def __init__(self, root: str, shape: tuple[int, int, int], world: World, rank_batch: int):
        self._root, self._shape, self._world = root, shape, world
        self._buffers = Buffers()
        self.failure: Optional[Exception] = None
        signature = (
            tf.TensorSpec((None, rank_batch, *shape), tf.uint8),
            tf.TensorSpec((None, rank_batch, 1), tf.int32),
            tf.TensorSpec((None, rank_batch), tf.float32),
        )
        # Made once: to build it costs a tenth of a second, which small epochs would feel.
        self._dataset = (
            tf.data.Dataset.from_generator(self._batches, output_signature=signature)
            .prefetch(1)
            .flat_map(_one_by_one)
        )

    def epoch(self, plan: Plan, shuffle_seed: str = "", first_step: int = 0) -> tf.data.Dataset:
        self._plan, self._shuffle_seed = plan, shuffle_seed
        return _from_step(self._dataset, first_step)

    def _batches(self) -> Iterator[Batches]:
        try:
            for images, labels, weights in rank_batches.batches(
                self._root,
                self._shape,
                self._plan,
                self._world,
                self._shuffle_seed,
                self._buffers,
            ):
                yield images, labels[..., np.newaxis], weights
        except Exception as error:  # of which TensorFlow would pass on its words alone
            self.failure = error
            raise


class Kept:
    """Reads its pieces once, and mixes all of them at each epoch. All epochs have one plan."""

    def __init__(self, root: str, shape: tuple[int, int, int], world: World, plan: Plan) -> None:
        self._plan, self._rows = plan, plan.rows(world.rank)
        self.failure: Optional[Exception] = None
        images = buffers.empty((self._rows + 1, *shape))
        images[self._rows] = 0  # fills up batches
        labels = np.zeros((self._rows + 1, 1), np.int32)
        done = 0
        for piece_images, piece_labels in rank_batches.read(root, shape, plan.pieces[world.rank]):
            images[done : done + len(piece_labels)] = piece_images
            labels[done : done + len(piece_labels), 0] = piece_labels
            done += len(piece_labels)
        with tf.device("/CPU:0"):
            # Through DLPack: tf.constant would hold the pixels a second time.
            pixels = tf.experimental.dlpack.from_dlpack(images.__dlpack__())
            label_ids = tf.constant(labels)
            self._order = tf.Variable(
                tf.zeros((plan.steps, plan.rank_batch), tf.int32), trainable=False
            )

        def batches(number: tf.Tensor) -> tf.data.Dataset:
            start = number * _GATHERED_BATCHES
            rows = self._order[start : start + _GATHERED_BATCHES]
            weights = tf.cast(rows < self._rows, tf.float32)
            return _one_by_one(tf.gather(pixels, rows), tf.gather(label_ids, rows), weights)

        count = -(-plan.steps // _GATHERED_BATCHES)
        self._dataset = tf.data.Dataset.range(count).flat_map(batches)

    def epoch(self, plan: Plan, shuffle_seed: str = "", first_step: int = 0) -> tf.data.Dataset:
        if plan != self._plan:
            raise ValueError("rows that are kept are those of one plan")
        rng = np.random.default_rng(list(shuffle_seed.encode())) if shuffle_seed else None
        order = np.full(plan.steps * plan.rank_batch, self._rows, np.int32)
        order[: self._rows] = rng.permutation(self._rows) if rng else np.arange(self._rows)
        self._order.assign(order.reshape(plan.steps, plan.rank_batch))
        return _from_step(self._dataset, first_step)


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Let the body raise what kept `source` from reading, where that is why TensorFlow failed."""
    try:
        yield
    except tf.errors.OpError:
        if source.failure is None:
            raise
        raise source.failure from None


def _one_by_one(*batches: tf.Tensor) -> tf.data.Dataset:
    """Give batch by batch what is many of them; unlike unbatch() it does not copy them."""
    return tf.data.Dataset.from_tensor_slices(batches)


def _from_step(dataset: tf.data.Dataset, first_step: int) -> tf.data.Dataset:
    options = tf.data.Options()
    # There is nothing to tune, and the tuner's thread can keep the end of an epoch for a second.
    options.autotune.enabled = False
    return dataset.skip(first_step).prefetch(_PREFETCH_BATCHES).with_options(options)


def fits(part_bytes: int, local_size: int) -> bool:
    """Whether each of a machine's `local_size` ranks may keep `part_bytes` in memory."""
    return part_bytes * local_size <= _memory_bytes() * _KEPT_MEMORY_FRACTION


def _memory_bytes() -> int:
    """What this machine has, or the container that this process is in, if that is less."""
    limits = [int(psutil.virtual_memory().total)]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):  # no such cgroup, or "max"
            continue
    return min(limits)
