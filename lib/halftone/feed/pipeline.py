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
from halftone.feed.buffers import BufferPool
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.rank_batches import BatchBlock
from halftone.feed.world import World

# Keeping rows must leave room for the model, for Spark and for other jobs.
_CACHE_MEMORY_FRACTION = 0.25
_PREFETCH_BATCHES = 8
# Gathered at once: a batch alone is too little work for what it costs TensorFlow to ask for it.
_GATHER_BATCHES = 16


class BatchSource(Protocol):
    read_error: Optional[Exception]  # why rows could not be read, while an epoch went on

    def epoch_dataset(
        self, plan: EpochPlan, shuffle_seed: str = "", first_step: int = 0
    ) -> tf.data.Dataset:
        """Give the batches of an epoch, from step `first_step` (from 0) on.

        Args:
            shuffle_seed: mixes the rows; without one they come in the order of the plan.
        """


class StreamedSource:
    """Reads its pieces anew at each epoch; rows are mixed a few pieces at a time."""

    def __init__(
        self, dataset_root: str, shape: tuple[int, int, int], world: World, rank_batch_size: int
    ):
        self._dataset_root, self._shape, self._world = dataset_root, shape, world
        self._buffer_pool = BufferPool()
        self.read_error: Optional[Exception] = None
        signature = (
            tf.TensorSpec((None, rank_batch_size, *shape), tf.uint8),
            tf.TensorSpec((None, rank_batch_size, 1), tf.int32),
            tf.TensorSpec((None, rank_batch_size), tf.float32),
        )
        # Made once: to build it costs a tenth of a second, which small epochs would feel.
        self._dataset = (
            tf.data.Dataset.from_generator(self._generate_blocks, output_signature=signature)
            .prefetch(1)
            .flat_map(_split_batches)
        )

    def epoch_dataset(
        self, plan: EpochPlan, shuffle_seed: str = "", first_step: int = 0
    ) -> tf.data.Dataset:
        self._plan, self._shuffle_seed = plan, shuffle_seed
        return _skip_steps(self._dataset, first_step)

    def _generate_blocks(self) -> Iterator[BatchBlock]:
        try:
            for images, labels, weights in rank_batches.read_batches(
                self._dataset_root,
                self._shape,
                self._plan,
                self._world,
                self._shuffle_seed,
                self._buffer_pool,
            ):
                yield images, labels[..., np.newaxis], weights
        except Exception as error:  # of which TensorFlow would pass on its words alone
            self.read_error = error
            raise


class CachedSource:
    """Reads its pieces once, and mixes all of them at each epoch. All epochs have one plan."""

    def __init__(
        self, dataset_root: str, shape: tuple[int, int, int], world: World, plan: EpochPlan
    ) -> None:
        self._plan, self._rows = plan, plan.count_rows(world.rank)
        self.read_error: Optional[Exception] = None
        images = buffers.allocate_aligned((self._rows + 1, *shape))
        images[self._rows] = 0  # fills up batches
        labels = np.zeros((self._rows + 1, 1), np.int32)
        done = 0
        for piece_images, piece_labels in rank_batches.read_slices(
            dataset_root, shape, plan.rank_slices[world.rank]
        ):
            images[done : done + len(piece_labels)] = piece_images
            labels[done : done + len(piece_labels), 0] = piece_labels
            done += len(piece_labels)
        with tf.device("/CPU:0"):
            # Through DLPack: tf.constant would hold the pixels a second time.
            pixels = tf.experimental.dlpack.from_dlpack(images.__dlpack__())
            label_ids = tf.constant(labels)
            self._order = tf.Variable(
                tf.zeros((plan.steps, plan.rank_batch_size), tf.int32), trainable=False
            )

        def batches(number: tf.Tensor) -> tf.data.Dataset:
            start = number * _GATHER_BATCHES
            rows = self._order[start : start + _GATHER_BATCHES]
            weights = tf.cast(rows < self._rows, tf.float32)
            return _split_batches(tf.gather(pixels, rows), tf.gather(label_ids, rows), weights)

        count = -(-plan.steps // _GATHER_BATCHES)
        self._dataset = tf.data.Dataset.range(count).flat_map(batches)

    def epoch_dataset(
        self, plan: EpochPlan, shuffle_seed: str = "", first_step: int = 0
    ) -> tf.data.Dataset:
        if plan != self._plan:
            raise ValueError("rows that are kept are those of one plan")
        rng = np.random.default_rng(list(shuffle_seed.encode())) if shuffle_seed else None
        order = np.full(plan.steps * plan.rank_batch_size, self._rows, np.int32)
        order[: self._rows] = rng.permutation(self._rows) if rng else np.arange(self._rows)
        self._order.assign(order.reshape(plan.steps, plan.rank_batch_size))
        return _skip_steps(self._dataset, first_step)


@contextmanager
def raise_read_errors(source: BatchSource) -> Iterator[None]:
    """Let the body raise what kept `source` from reading, where that is why TensorFlow failed."""
    try:
        yield
    except tf.errors.OpError:
        if source.read_error is None:
            raise
        raise source.read_error from None


def _split_batches(*batches: tf.Tensor) -> tf.data.Dataset:
    """Give batch by batch what is many of them; unlike unbatch() it does not copy them."""
    return tf.data.Dataset.from_tensor_slices(batches)


def _skip_steps(dataset: tf.data.Dataset, first_step: int) -> tf.data.Dataset:
    options = tf.data.Options()
    # There is nothing to tune, and the tuner's thread can keep the end of an epoch for a second.
    options.autotune.enabled = False
    return dataset.skip(first_step).prefetch(_PREFETCH_BATCHES).with_options(options)


def fits_in_memory(rank_bytes: int, local_size: int) -> bool:
    """Whether each of a machine's `local_size` ranks may keep `part_bytes` in memory."""
    return rank_bytes * local_size <= _available_memory_bytes() * _CACHE_MEMORY_FRACTION


def _available_memory_bytes() -> int:
    """What this machine has, or the container that this process is in, if that is less."""
    limits = [int(psutil.virtual_memory().total)]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):  # no such cgroup, or "max"
            continue
    return min(limits)
