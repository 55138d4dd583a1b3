"""A rank's share of an epoch, through Petastorm: batches of one size, as many as planned."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow_hotfix  # noqa: F401 (closes CVE-2023-47248 in pyarrow below 14.0.1)

from halftone import schema, storage
from halftone.errors import RunError
from halftone.manifest import ShardFile
from halftone.planner import Plan
from halftone.world import World

# petastorm 0.12.1 uses much of what pyarrow 10 calls deprecated.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")
from petastorm import make_batch_reader  # noqa: E402

Pixels = npt.NDArray[np.uint8]
# (batch, height, width, channels) uint8, (batch,) int32, (batch,) float32: 0 where it only fills
Batch = tuple[Pixels, npt.NDArray[np.int32], npt.NDArray[np.float32]]

# Rows are shuffled within so many shards at a time, besides the order of the shards.
_SHUFFLE_SHARDS = 4


def batches(
    root: str, shape: tuple[int, int, int], plan: Plan, world: World, shuffle_seed: str = ""
) -> Iterator[Batch]:
    """Yield the `plan.steps` batches of this rank, all of `plan.rank_batch` rows.

    Args:
        root: the dataset's.
        shuffle_seed: mixes the rows; without one they come in the dataset's order.

    Raises:
        RunError: the shards do not hold the rows that the manifest says.
    """
    own = plan.shards[world.rank]
    size = plan.rank_batch
    pool_images, pool_labels = _empty(shape)
    read, emitted = 0, 0
    for images, labels in _groups(root, shape, own, shuffle_seed):
        read += len(labels)
        pool_images = np.concatenate([pool_images, images])
        pool_labels = np.concatenate([pool_labels, labels])
        for start in range(0, len(pool_labels) - size + 1, size):
            end = start + size
            yield pool_images[start:end], pool_labels[start:end], np.ones(size, np.float32)
            emitted += 1
        used = len(pool_labels) // size * size
        pool_images, pool_labels = pool_images[used:], pool_labels[used:]
    if read != plan.rows(world.rank):
        raise RunError(
            f"rank {world.rank} read {read} rows from its shards, the manifest says "
            f"{plan.rows(world.rank)}; the dataset at {root} is damaged, run preprocess again"
        )
    while emitted < plan.steps:
        yield _filled(pool_images, pool_labels, size)
        pool_images, pool_labels = _empty(shape)
        emitted += 1


def _groups(
    root: str, shape: tuple[int, int, int], shards: Sequence[ShardFile], shuffle_seed: str
) -> Iterator[tuple[Pixels, npt.NDArray[np.int32]]]:
    """Yield the rows of a few shards at a time, mixed."""
    rng = np.random.default_rng(list(shuffle_seed.encode())) if shuffle_seed else None
    group: list[tuple[Pixels, npt.NDArray[np.int32]]] = []
    for number, read in enumerate(_read(root, shape, shards), start=1):
        group.append(read)
        if len(group) == _SHUFFLE_SHARDS or number == len(shards):
            images = np.concatenate([images for images, _ in group])
            labels = np.concatenate([labels for _, labels in group])
            order = rng.permutation(len(labels)) if rng else slice(None)
            yield images[order], labels[order]
            group = []


def _read(
    root: str, shape: tuple[int, int, int], shards: Sequence[ShardFile]
) -> Iterator[tuple[Pixels, npt.NDArray[np.int32]]]:
    """Yield one shard after another: (rows, *shape) uint8 and (rows,) int32."""
    if not shards:
        return
    # An explicit list: opening a folder would unpickle its _common_metadata.
    urls = [storage.as_url(storage.join(root, shard.path)) for shard in shards]
    with make_batch_reader(
        urls,
        schema_fields=[f"^{schema.IMAGE}$", f"^{schema.LABEL_ID}$"],
        num_epochs=1,
        shuffle_row_groups=False,  # the planner has shuffled them, the same way on every run
        workers_count=1,  # more would return row groups in an order of their own
    ) as reader:
        for group in reader:
            images = np.frombuffer(b"".join(group.image), np.uint8)
            yield images.reshape(-1, *shape), np.asarray(group.label_id, np.int32)


def _empty(shape: tuple[int, int, int]) -> tuple[Pixels, npt.NDArray[np.int32]]:
    return np.empty((0, *shape), np.uint8), np.empty(0, np.int32)


def _filled(images: Pixels, labels: npt.NDArray[np.int32], size: int) -> Batch:
    """Fill a batch up to `size` with rows of weight 0."""
    missing = size - len(labels)
    weights = np.concatenate([np.ones(len(labels)), np.zeros(missing)]).astype(np.float32)
    filler = np.zeros((missing, *images.shape[1:]), np.uint8)
    return (
        np.concatenate([images, filler]),
        np.concatenate([labels, np.zeros(missing, np.int32)]),
        weights,
    )
