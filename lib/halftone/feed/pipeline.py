"""Batches for Keras: streamed from the shards at each epoch, or cached in memory.

Encoded images are decoded in each epoch where they are streamed, and once where they are cached:
the memory holds pixels, as decoding them again would cost most of what the cache saves.

Both sources return, for an epoch, a tf.data.Dataset of `plan.steps` elements: pixels (B, H, W, C)
uint8, labels (B, 1) int32 and weights (B,) float32, where B is `plan.rank_batch_size`. If a rank
has too few rows for its last batch, the first rows of the epoch fill it, with weight 0: the loss
leaves them out, but batch normalisation sees them, and black images would distort its statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional, Protocol

import numpy as np
import tensorflow as tf

from halftone.config import PixelSpec
from halftone.feed import balanced_rows, buffers, rank_batches
from halftone.feed.balanced_rows import Counts
from halftone.feed.buffers import BufferPool
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.rank_batches import BatchBlock
from halftone.feed.world import World
from halftone.system import machine

# Cached rows must leave memory for the model, Spark and other jobs.
_CACHE_MEMORY_FRACTION = 0.25
_PREFETCH_BATCHES = 8
# Batches gathered by one call, because gathering a single batch is cheap compared with the call.
_GATHER_BATCHES = 16


class BatchSource(Protocol):
    """Batches of one split for one rank."""

    read_error: Optional[Exception]  # raised while an epoch read its rows

    def epoch_dataset(
        self, plan: EpochPlan, shuffle_seed: str = "", first_step: int = 0
    ) -> tf.data.Dataset:
        """Return the batches of an epoch, starting at step `first_step` (counted from 0).

        Args:
            shuffle_seed: seed of the shuffle; an empty one keeps the order of the plan.
        """


class StreamedSource:
    """Reads its slices at each epoch, and shuffles rows within a few slices at a time."""

    def __init__(
        self, dataset_root: str, pixels: PixelSpec, world: World, rank_batch_size: int
    ) -> None:
        self._dataset_root, self._pixels, self._world = dataset_root, pixels, world
        self._buffer_pool = BufferPool()
        self.read_error: Optional[Exception] = None
        signature = (
            tf.TensorSpec((None, rank_batch_size, *pixels.shape), tf.uint8),
            tf.TensorSpec((None, rank_batch_size, 1), tf.int32),
            tf.TensorSpec((None, rank_batch_size), tf.float32),
        )
        # Built once: it takes a tenth of a second, which matters for small epochs.
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
                self._pixels,
                self._plan,
                self._world,
                self._shuffle_seed,
                self._buffer_pool,
            ):
                yield images, labels[..., np.newaxis], weights
        except Exception as error:  # TensorFlow would only pass on its text
            self.read_error = error
            raise


class CachedSource:
    """Reads its slices once, and shuffles all rows at each epoch. All epochs must have one plan.

    After `balance_classes` an epoch draws rows by their class instead of all of them.
    """

    def __init__(self, dataset_root: str, pixels: PixelSpec, world: World, plan: EpochPlan) -> None:
        self._rows, self._draws = plan.count_rows(world.rank), np.zeros(0, np.int64)
        self.read_error: Optional[Exception] = None
        # A rank without any row, possible in validation, gets a black one of weight 0.
        num_cached = max(1, self._rows)
        images = buffers.allocate_aligned((num_cached, *pixels.shape))
        images[self._rows :] = 0
        labels = np.zeros((num_cached, 1), np.int32)
        start = 0
        with rank_batches.decoding_threads(world) as threads:
            for slice_images, slice_labels in rank_batches.read_slices(
                dataset_root, pixels, plan.rank_slices[world.rank]
            ):
                stop = start + len(slice_labels)
                slice_images.copy_to(images, np.arange(start, stop), threads)
                labels[start:stop, 0] = slice_labels
                start = stop
        with tf.device("/CPU:0"):
            # DLPack shares the memory; tf.constant would copy the pixels.
            self._pixels = tf.experimental.dlpack.from_dlpack(images.__dlpack__())
            self._labels = tf.constant(labels)
        self._label_ids = labels[: self._rows, 0].astype(np.int64)
        self._set_plan(plan, self._rows)

    def _set_plan(self, plan: EpochPlan, num_weighted: int) -> None:
        """Build the dataset of epochs in which the first `num_weighted` rows have weight 1."""
        self._plan = plan
        pixels, label_ids = self._pixels, self._labels
        with tf.device("/CPU:0"):
            weights = tf.constant(
                (np.arange(plan.steps * plan.rank_batch_size) < num_weighted)
                .astype(np.float32)
                .reshape(plan.steps, plan.rank_batch_size)
            )
            self._order = tf.Variable(
                tf.zeros((plan.steps, plan.rank_batch_size), tf.int32), trainable=False
            )

        def gather_batches(number: tf.Tensor) -> tf.data.Dataset:
            start = number * _GATHER_BATCHES
            stop = start + _GATHER_BATCHES
            rows = self._order[start:stop]
            return _split_batches(
                tf.gather(pixels, rows), tf.gather(label_ids, rows), weights[start:stop]
            )

        num_gathers = -(-plan.steps // _GATHER_BATCHES)
        self._dataset = tf.data.Dataset.range(num_gathers).flat_map(gather_batches)

    def epoch_dataset(
        self, plan: EpochPlan, shuffle_seed: str = "", first_step: int = 0
    ) -> tf.data.Dataset:
        if plan != self._plan:
            raise ValueError("a CachedSource serves one plan only, and this is another one")
        rng = np.random.default_rng(list(shuffle_seed.encode())) if shuffle_seed else None
        if len(self._draws):
            if rng is None:
                raise ValueError("balanced classes need a shuffle_seed: rows are drawn at random")
            order = balanced_rows.draw_rows(self._label_ids, self._draws, rng)
        else:
            order = rng.permutation(self._rows) if rng else np.arange(self._rows)
        # Repeats the first rows until the last batch is full; zeros if there are no rows.
        filled = np.resize(order, (plan.steps, plan.rank_batch_size))
        self._order.assign(filled.astype(np.int32))
        return _skip_steps(self._dataset, first_step)

    def count_labels(self, num_classes: int) -> Counts:
        """Return the number of rows of each class on this rank, (num_classes,)."""
        return np.bincount(self._label_ids, minlength=num_classes)

    def balance_classes(self, draws: Counts, steps: int) -> EpochPlan:
        """Draw `draws` rows of each class in each epoch from now on; return the plan of all epochs.

        Args:
            draws: (classes,) of this rank, see `balanced_rows.share_draws`.
            steps: enough for the rank that draws most rows.
        """
        self._draws = draws
        self._set_plan(self._plan._replace(steps=steps), int(draws.sum()))
        return self._plan


@contextmanager
def raise_read_errors(source: BatchSource) -> Iterator[None]:
    """Raise the read error of `source` in place of the TensorFlow error that it caused."""
    try:
        yield
    except tf.errors.OpError:
        if source.read_error is None:
            raise
        raise source.read_error from None


def _split_batches(*batches: tf.Tensor) -> tf.data.Dataset:
    """Split tensors of many batches into single batches; unlike unbatch(), without a copy."""
    return tf.data.Dataset.from_tensor_slices(batches)


def _skip_steps(dataset: tf.data.Dataset, first_step: int) -> tf.data.Dataset:
    options = tf.data.Options()
    # Nothing to tune, and the tuner's thread can delay the end of an epoch by a second.
    options.autotune.enabled = False
    return dataset.skip(first_step).prefetch(_PREFETCH_BATCHES).with_options(options)


def fits_in_memory(rank_bytes: int, local_size: int) -> bool:
    """Whether each of a machine's `local_size` ranks may cache `rank_bytes` in memory."""
    return rank_bytes * local_size <= machine.usable_memory_bytes() * _CACHE_MEMORY_FRACTION
