"""A rank's share of an epoch, through Petastorm: NumPy arrays of many batches at a time."""

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
# (batches, batch, height, width, channels) uint8, (batches, batch) int32, (batches, batch)
# float32: weight 0 where a row only fills a batch.
BatchBlock = tuple[PixelArray, LabelArray, WeightArray]

# Rows are shuffled within so many pieces at a time, besides the order of the pieces.
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
    """Yield the `plan.steps` batches of this rank, all of `plan.rank_batch` rows, some at a time.

    Args:
        root: the dataset's.
        shuffle_seed: mixes the rows; with an empty one they come in the dataset's order.
        buffers: where the pixels are.

    Raises:
        RunError: the shards do not hold the rows that the manifest says.
    """
    own, size = plan.rank_slices[world.rank], plan.rank_batch_size
    reader = read_slices(dataset_root, shape, own)
    rng = np.random.default_rng(list(shuffle_seed.encode())) if shuffle_seed else None
    rest_images, rest_labels = np.empty((0, *shape), np.uint8), np.empty(0, np.int32)
    left = plan.steps
    for start in range(0, len(own), _SHUFFLE_SLICES):
        group = own[start : start + _SHUFFLE_SLICES]
        rows = sum(piece.rows for piece in group)
        kept = len(rest_labels)
        images = buffer_pool.allocate((kept + rows, *shape))
        labels = np.empty(kept + rows, np.int32)
        images[:kept], labels[:kept] = rest_images, rest_labels
        # Where each row goes is known before it is read, so that it is copied once.
        places = kept + (rng.permutation(rows) if rng else np.arange(rows))
        taken = 0
        for _ in group:
            piece_images, piece_labels = next(reader)
            place = places[taken : taken + len(piece_labels)]
            images[place], labels[place] = piece_images, piece_labels
            taken += len(place)
        full = len(labels) // size
        if full:
            yield _reshape_batches(images[: full * size], labels[: full * size], size)
            left -= full
        rest_images, rest_labels = images[full * size :], labels[full * size :]
    if left:
        yield _pad_batches(rest_images, rest_labels, left, size)


def read_slices(
    dataset_root: str, shape: tuple[int, int, int], slices: Sequence[ShardSlice]
) -> Iterator[tuple[PixelArray, LabelArray]]:
    """Yield one piece after another: (rows, *shape) uint8 and (rows,) int32.

    Raises:
        RunError: a shard cannot be read, or does not hold the rows that the manifest says.
    """
    if not slices:
        return
    urls = [storage.as_url(storage.join(dataset_root, piece.shard.path)) for piece in slices]
    tables = row_groups.read_tables(urls, [schema.IMAGE, schema.LABEL_ID])
    for piece in slices:
        try:
            table: pa.Table = next(tables, None)
        except Exception:  # stores have errors of their own kinds
            _check_shards(dataset_root, slices)
            raise  # of a store that was away for a moment
        rows = 0 if table is None else table.num_rows
        if rows != piece.shard.rows:
            raise RunError(
                f"{storage.join(dataset_root, piece.shard.path)} holds {rows} rows, the manifest says "
                f"{piece.shard.rows}; {_REMEDY}"
            )
        own = table.slice(piece.start, piece.rows)
        yield arrow.view_images(own[schema.IMAGE], shape), own[schema.LABEL_ID].to_numpy()


def _check_shards(dataset_root: str, slices: Sequence[ShardSlice]) -> None:
    """Raise RunError for the shard that Petastorm, which opens all of them first, cannot read."""
    for piece in slices:
        url = storage.join(dataset_root, piece.shard.path)
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
    """Lay the last rows out over `steps` batches, and fill these up with rows of weight 0."""
    all_images = np.zeros((num_batches * batch_size, *images.shape[1:]), np.uint8)
    all_labels = np.zeros(num_batches * batch_size, np.int32)
    all_images[: len(images)], all_labels[: len(labels)] = images, labels
    shaped_images, shaped_labels, _ = _reshape_batches(all_images, all_labels, batch_size)
    weights = (np.arange(num_batches * batch_size) < len(labels)).astype(np.float32)
    return shaped_images, shaped_labels, weights.reshape(num_batches, batch_size)
