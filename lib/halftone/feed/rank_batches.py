"""Read a rank's share of an epoch through Petastorm, as NumPy arrays of many batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.stored_images import DAMAGE_CURE, StoredImages, read_shard
from halftone.errors import InputError
from halftone.feed import row_groups
from halftone.feed.buffers import BufferPool, PixelArray
from halftone.feed.epoch_plan import EpochPlan, ShardSlice
from halftone.feed.world import World
from halftone.system import cores

LabelArray = npt.NDArray[np.int32]
WeightArray = npt.NDArray[np.float32]
# Pixels (batches, batch, height, width, channels) uint8, labels (batches, batch) int32 and weights
# (batches, batch) float32: 0 for a row that only fills the last batch.
BatchBlock = tuple[PixelArray, LabelArray, WeightArray]

# Number of slices within which rows are shuffled; the order of the slices is shuffled too.
_SHUFFLE_SLICES = 4


def read_batches(
    dataset_root: str,
    pixels: PixelSpec,
    plan: EpochPlan,
    world: World,
    shuffle_seed: str,
    buffer_pool: BufferPool,
) -> Iterator[BatchBlock]:
    """Yield the `plan.steps` batches of this rank in blocks; each has `plan.rank_batch_size` rows.

    The first rows of the epoch fill the last batch, with weight 0.

    Args:
        shuffle_seed: seed of the shuffle; an empty one keeps the order of the plan.
        buffer_pool: allocates the pixels.

    Raises:
        InputError: the shards do not match the manifest, or an image is damaged.
    """
    with decoding_threads(world) as threads:
        yield from _read_batches(
            *(dataset_root, pixels, plan, world, shuffle_seed, buffer_pool, threads)
        )


def _read_batches(
    dataset_root: str,
    pixels: PixelSpec,
    plan: EpochPlan,
    world: World,
    shuffle_seed: str,
    buffer_pool: BufferPool,
    threads: Executor,
) -> Iterator[BatchBlock]:
    slices, batch_size = plan.rank_slices[world.rank], plan.rank_batch_size
    shape = pixels.shape
    reader = read_slices(dataset_root, pixels, slices)
    rng = np.random.default_rng(list(shuffle_seed.encode())) if shuffle_seed else None
    rest_images, rest_labels = np.empty((0, *shape), np.uint8), np.empty(0, np.int32)
    first_images, first_labels = rest_images, rest_labels  # as many as the last batch lacks
    num_fill = plan.count_fill_rows(world.rank)
    for start in range(0, len(slices), _SHUFFLE_SLICES):
        group = slices[start : start + _SHUFFLE_SLICES]
        num_rows, num_rest = sum(item.rows for item in group), len(rest_labels)
        images = buffer_pool.allocate((num_rest + num_rows, *shape))
        labels = np.empty(num_rest + num_rows, np.int32)
        images[:num_rest], labels[:num_rest] = rest_images, rest_labels
        # Shuffle the destinations, so that each row is copied, or decoded, into its place.
        destinations = num_rest + (rng.permutation(num_rows) if rng else np.arange(num_rows))
        num_read = 0
        for _ in group:
            slice_images, slice_labels = next(reader)
            rows = destinations[num_read : num_read + len(slice_labels)]
            slice_images.copy_to(images, rows, threads)
            labels[rows] = slice_labels
            num_read += len(rows)
        num_batches = len(labels) // batch_size
        end = num_batches * batch_size
        if len(first_labels) < num_fill:
            # A copy, because it would keep the whole buffer from being used again.
            first_images, first_labels = images[:num_fill].copy(), labels[:num_fill]
        if num_batches:
            yield _reshape_batches(images[:end], labels[:end], batch_size)
        rest_images, rest_labels = images[end:], labels[end:]
    if num_fill:
        yield _fill_batch(rest_images, rest_labels, first_images, first_labels, batch_size)


def decoding_threads(world: World) -> Executor:
    """Return threads that decode images on this rank's share of the cores.

    They start when they are first used: not for raw pixels.
    """
    return ThreadPoolExecutor(cores.num_threads(world.local_size), "decode")


def read_slices(
    dataset_root: str, pixels: PixelSpec, slices: Sequence[ShardSlice]
) -> Iterator[tuple[StoredImages, LabelArray]]:
    """Yield the images and labels (rows,) int32 of one slice after another.

    Raises:
        InputError: a shard cannot be read, or does not match the manifest.
    """
    if not slices:
        return
    urls = [storage.join(dataset_root, item.shard.path) for item in slices]
    tables = row_groups.read_tables(urls, [schema.IMAGE, schema.LABEL_ID])
    for shard_slice in slices:
        shard = shard_slice.shard
        try:
            table: pa.Table = next(tables, None)
        except Exception:  # each store has exceptions of its own
            _check_shards(dataset_root, slices)
            raise  # all shards can be read now: the store failed for a moment
        rows = 0 if table is None else table.num_rows
        if rows != shard.rows:
            raise InputError(
                f"{storage.join(dataset_root, shard.path)} has {rows} rows, the manifest has "
                f"{shard.rows}; {DAMAGE_CURE}"
            )
        part = table.slice(shard_slice.start, shard_slice.rows)
        images = StoredImages(
            part[schema.IMAGE],
            pixels,
            storage.join(dataset_root, shard.path),
            range(shard_slice.start, shard_slice.stop),
        )
        yield images, part[schema.LABEL_ID].to_numpy()


def _check_shards(dataset_root: str, slices: Sequence[ShardSlice]) -> None:
    """Raise InputError for the first shard that cannot be read.

    Petastorm opens all shards first, and its error does not name the one that fails.
    """
    for shard_slice in slices:
        read_shard(storage.join(dataset_root, shard_slice.shard.path), [schema.LABEL_ID])


def _reshape_batches(images: PixelArray, labels: LabelArray, batch_size: int) -> BatchBlock:
    return (
        images.reshape(-1, batch_size, *images.shape[1:]),
        labels.reshape(-1, batch_size),
        np.ones((len(labels) // batch_size, batch_size), np.float32),
    )


def _fill_batch(
    images: PixelArray,
    labels: LabelArray,
    fill_images: PixelArray,
    fill_labels: LabelArray,
    batch_size: int,
) -> BatchBlock:
    """Return one batch: the given rows, then the filling ones, repeated, with weight 0.

    Without any row, which is possible in validation, it holds black images.
    """
    num_rows = len(labels)
    batch_images = np.zeros((1, batch_size, *images.shape[1:]), np.uint8)
    batch_labels = np.zeros((1, batch_size), np.int32)
    batch_images[0, :num_rows], batch_labels[0, :num_rows] = images, labels
    if len(fill_labels):
        rows = np.arange(batch_size - num_rows) % len(fill_labels)
        batch_images[0, num_rows:], batch_labels[0, num_rows:] = (
            fill_images[rows],
            fill_labels[rows],
        )
    weights = (np.arange(batch_size) < num_rows).astype(np.float32)
    return batch_images, batch_labels, weights[np.newaxis]
