"""Kernels that a network begins with instead of random ones.

Both are from "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (Jordan, 2024, sections 3.2 and
3.3): a first convolution that whitens patches, and convolutions that begin as the identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from halftone.config import Convnet, TrainSettings
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.splits import TRAIN
from halftone.feed import rank_batches
from halftone.feed.epoch_plan import ShardSlice
from halftone.models.convnet import WHITENING_LAYER

_MAX_ROWS = 5000
_MAX_PIXEL_BYTES = 64 << 20
_MAX_PATCH_VALUES = 1 << 22  # held at once, as float64
# Added to variances: directions in which patches hardly differ are noise.
_EPSILON = 5e-4

_Floats = npt.NDArray[np.float64]


def set_initial_kernels(
    network: tf.keras.Model, settings: TrainSettings, manifest: Manifest, dataset: str
) -> None:
    """Set the kernels of `whitening_px` and `identity_start`, if the settings have them.

    Those of the whitening depend on the first rows of the train split, in the order of the
    manifest, so they are the same for any number of ranks.
    """
    model = settings.model
    # The weights of `start_from` replace all of them.
    if not isinstance(model, Convnet) or settings.start_from:
        return
    if model.identity_start:
        for layer in network.layers:
            if isinstance(layer, tf.keras.layers.Conv2D) and layer.name != WHITENING_LAYER:
                layer.kernel.assign(identity_kernel(layer.kernel.numpy()))
    if model.whitening_px:
        layer = network.get_layer(WHITENING_LAYER)
        normalise = tf.keras.Model(network.inputs, layer.input)
        pixels = _read_first_rows(manifest, dataset)
        layer.kernel.assign(whitening_kernel(normalise, pixels, model.whitening_px))


def identity_kernel(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a kernel (height, width, inputs, filters) whose first outputs are its inputs.

    There are as many of them as both inputs and filters; the other filters stay as they are.
    """
    height_px, width_px, inputs, filters = kernel.shape
    num_copies = min(inputs, filters)
    copied: npt.NDArray[np.float32] = kernel.copy()
    copied[..., :num_copies] = 0
    # Of an even side, the pixel that TensorFlow's padding centres the kernel on.
    centre = copied[(height_px - 1) // 2, (width_px - 1) // 2]
    centre[np.arange(num_copies), np.arange(num_copies)] = 1
    return copied


def whitening_kernel(
    normalise: tf.keras.Model, pixels: npt.NDArray[np.uint8], side_px: int
) -> npt.NDArray[np.float32]:
    """Return the kernel (side, side, C, 2 * side * side * C) that whitens patches of the pixels.

    Each filter is an eigenvector of the second moments of the patches, divided by the square root
    of its eigenvalue, in descending order; then come their negatives.

    Args:
        normalise: what the network does with pixels before this layer.
        pixels: (N, H, W, C).
    """
    channels = pixels.shape[3]
    num_values = side_px * side_px * channels
    moments, num_patches = np.zeros((num_values, num_values)), 0
    for patches in _patches(normalise, pixels, side_px):
        moments += patches.T @ patches
        num_patches += len(patches)
    variances, vectors = np.linalg.eigh(moments / num_patches)
    filters = (vectors / np.sqrt(variances + _EPSILON))[:, ::-1]
    kernel: npt.NDArray[np.float32] = np.hstack([filters, -filters]).astype(np.float32)
    return kernel.reshape(side_px, side_px, channels, 2 * num_values)


def _patches(
    normalise: tf.keras.Model, pixels: npt.NDArray[np.uint8], side_px: int
) -> Iterator[_Floats]:
    """Yield all patches of some images after another, (patches, side * side * C)."""
    _, height_px, width_px, channels = pixels.shape
    num_values = side_px * side_px * channels
    num_images = max(1, _MAX_PATCH_VALUES // (height_px * width_px * num_values))
    for start in range(0, len(pixels), num_images):
        values: npt.NDArray[Any] = normalise(pixels[start : start + num_images]).numpy()
        rows, columns = height_px - side_px + 1, width_px - side_px + 1
        # In the order of a kernel: by row of the patch, then by column, then by channel.
        parts = [
            values[:, top : top + rows, left : left + columns]
            for top in range(side_px)
            for left in range(side_px)
        ]
        yield np.concatenate(parts, axis=3).reshape(-1, num_values).astype(np.float64)


def _read_first_rows(manifest: Manifest, dataset: str) -> npt.NDArray[np.uint8]:
    spec = manifest.pixels
    num_left = min(_MAX_ROWS, max(1, _MAX_PIXEL_BYTES // spec.image_bytes))
    slices = []
    for shard in read_shards(dataset, manifest, TRAIN):
        if num_left:
            slices.append(ShardSlice(shard, 0, min(shard.rows, num_left)))
            num_left -= slices[-1].rows
    parts = [images.pixels() for images, _ in rank_batches.read_slices(dataset, spec, slices)]
    return np.concatenate(parts)
