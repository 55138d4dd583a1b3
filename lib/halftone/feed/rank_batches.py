"""Read a rank's share of an epoch through Petastorm, as NumPy arrays of many batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import RunError
from halftone.feed import row_groups
from halftone.feed.buffers import BufferPool, PixelArray
from halftone.feed.epoch_plan import EpochPlan, ShardSlice
from halftone.feed.world import World

LabelArray = npt.NDArray[np.int32]
WeightArray = npt.NDArray[np.float32]
# Pixels (batches, batch, height, width, channels) uint8, labels (batches, batch) int32 and weights
# (batches, batch) float32: 0 for a padding row.
BatchBlock = tuple[PixelArray, LabelArray, WeightArray]

# Number of slices within which rows are shuffled; the order of the slices is shuffled too.
_SHUFFLE_SLICES = 4
_REMEDY = "restore it, or run preprocess again with a new --output"


def read_batches(
    dataset_root: str,
    shape: tuple[int, int, int],
    plan: EpochPlan,
    world: World,
    shuffle_seed: str,
    buffer_pool: BufferPool,
) -> Iterator[BatchBlock]:
    """Yield the `plan.steps` batches of this rank in blocks; each has `plan.rank_batch_size` rows.

    Args:
        shuffle_seed: seed of the shuffle; an empty one keeps the order of the plan.
        buffer_pool: allocates the pixels.

    Raises:
        RunError: the shards do not match the manifest.
    """
    slices, batch_size = plan.rank_slices[world.rank], plan.rank_batch_size
    reader = read_slices(dataset_root, shape, slices)
    rng = np.random.default_rng(list(shuffle_seed.encode())) if shuffle_seed else None
    rest_images, rest_labels = np.empty((0, *shape), np.uint8), np.empty(0, np.int32)
    remaining_steps = plan.steps
    for start in range(0, len(slices), _SHUFFLE_SLICES):
        group = slices[start : start + _SHUFFLE_SLICES]
        num_rows, num_rest = sum(item.rows for item in group), len(rest_labels)
        images = buffer_pool.allocate((num_rest + num_rows, *shape))
        labels = np.empty(num_rest + num_rows, np.int32)
        images[:num_rest], labels[:num_rest] = rest_images, rest_labels
        # Shuffle the destinations, so that each row is copied once.
        destinations = num_rest + (rng.permutation(num_rows) if rng else np.arange(num_rows))
        num_read = 0
        for _ in group:
            slice_images, slice_labels = next(reader)
            rows = destinations[num_read : num_read + len(slice_labels)]
            images[rows], labels[rows] = slice_images, slice_labels
            num_read += len(rows)
        num_batches = len(labels) // batch_size
        end = num_batches * batch_size
        if num_batches:
            yield _reshape_batches(images[:end], labels[:end], batch_size)
            remaining_steps -= num_batches
        rest_images, rest_labels = images[end:], labels[end:]
    if remaining_steps:
        yield _pad_batches(rest_images, rest_labels, remaining_steps, batch_size)


def read_slices(
    dataset_root: str, shape: tuple[int, int, int], slices: Sequence[ShardSlice]
) -> Iterator[tuple[PixelArray, LabelArray]]:
    """Yield pixels (rows, *shape) uint8 and labels (rows,) int32 of one slice after another.

    Raises:
        RunError: a shard cannot be read, or does not match the manifest.
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
            raise RunError(
                f"{storage.join(dataset_root, shard.path)} has {rows} rows, the manifest has "
                f"{shard.rows}; {_REMEDY}"
            )
        part = table.slice(shard_slice.start, shard_slice.rows)
        yield arrow.view_images(part[schema.IMAGE], shape), part[schema.LABEL_ID].to_numpy()


def _check_shards(dataset_root: str, slices: Sequence[ShardSlice]) -> None:
    """Raise RunError for the first shard that cannot be read.

    Petastorm opens all shards first, and its error does not name the one that fails.
    """
    for shard_slice in slices:
        url = storage.join(dataset_root, shard_slice.shard.path)
        try:
            storage.read_table(url, [schema.LABEL_ID])
        except FileNotFoundError:
            raise RunError(f"{url} is missing; {_REMEDY}") from None
        except pa.ArrowException as error:
            raise RunError(f"{url} is damaged ({error}); {_REMEDY}") from None


def _reshape_batches(images: PixelArray, labels: LabelArray, batch_size: int) -> BatchBlock:
    return (
        images.reshape(-1, batch_size, *images.shape[1:]),
        labels.reshape(-1, batch_size),
        np.ones((len(labels) // batch_size, batch_size), np.float32),
    )


def _pad_batches(
    images: PixelArray, labels: LabelArray, num_batches: int, batch_size: int
) -> BatchBlock:
    """Return `num_batches` batches with the last rows, padded with rows of weight 0."""
    padded_images = np.zeros((num_batches * batch_size, *images.shape[1:]), np.uint8)
    padded_labels = np.zeros(num_batches * batch_size, np.int32)
    padded_images[: len(images)], padded_labels[: len(labels)] = images, labels
    batch_images, batch_labels, _ = _reshape_batches(padded_images, padded_labels, batch_size)
    weights = (np.arange(num_batches * batch_size) < len(labels)).astype(np.float32)
    return batch_images, batch_labels, weights.reshape(num_batches, batch_size)
