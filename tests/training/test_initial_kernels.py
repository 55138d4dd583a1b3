"""Kernels that are set before the first step, checked by what they do to pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from halftone import models, storage
from halftone.config import Convnet, Residual, TrainSettings
from halftone.dataset import manifest, schema
from halftone.training import initial_kernels


def test_identity_kernel_copies_its_inputs() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)
    for height_px, width_px in ((3, 3), (5, 1), (2, 2), (4, 3)):
        random = rng.normal(size=(height_px, width_px, 3, 5)).astype(np.float32)
        kernel = initial_kernels.identity_kernel(random)
        output = tf.nn.conv2d(maps, kernel, 1, "SAME").numpy()
        np.testing.assert_array_equal(output[..., :3], maps)
        np.testing.assert_array_equal(kernel[..., 3:], random[..., 3:])


def test_identity_kernel_with_fewer_filters_copies_the_first_inputs() -> None:
    kernel = initial_kernels.identity_kernel(np.ones((1, 1, 3, 2), np.float32))
    np.testing.assert_array_equal(kernel[0, 0], [[1, 0], [0, 1], [0, 0]])


def test_patches_are_uncorrelated_after_the_whitening() -> None:
    rng = np.random.default_rng(1)
    # Neighbouring pixels and channels that are alike, as in photos.
    smooth = rng.normal(size=(40, 9, 7, 1)).cumsum(1).cumsum(2)
    pixels = np.clip(128 + 20 * smooth + 30 * rng.normal(size=(40, 9, 7, 2)), 0, 255)
    pixels = pixels.astype(np.uint8)
    inputs = tf.keras.Input((9, 7, 2))
    normalise = tf.keras.Model(inputs, inputs / 50)
    kernel = initial_kernels.whitening_kernel(normalise, pixels, 2)
    assert kernel.shape == (2, 2, 2, 16)
    maps = tf.nn.conv2d(pixels / np.float32(50), kernel, 1, "VALID").numpy().reshape(-1, 16)
    # With 40 x 8 x 6 patches; the small constant in the denominator takes off a little.
    np.testing.assert_allclose(maps[:, :8].T @ maps[:, :8] / 1920, np.eye(8), atol=0.02)
    np.testing.assert_array_equal(maps[:, 8:], -maps[:, :8])


def test_kernels_of_a_network_come_from_the_train_split(dataset: Path) -> None:
    data = manifest.read_manifest(str(dataset))
    model = Convnet(
        filters=(4, 6), activation="none", whitening_px=3, identity_start=True, pool_after=()
    )
    network = models.build_model(model.model_dump(), data.shape(), 2, "-0.5..0.5")
    settings = TrainSettings(model=model)
    initial_kernels.set_initial_kernels(network, settings, data, str(dataset))
    shards = manifest.read_shards(str(dataset), data, "train")
    urls = [storage.join(str(dataset), file.path) for file in shards]
    tables = [storage.read_table(url, [schema.IMAGE]) for url in urls]
    rows = [row for table in tables for row in table[schema.IMAGE].to_pylist()]
    pixels = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, *data.shape())
    whitened = tf.keras.Model(network.input, network.get_layer("whitening").output)(pixels)
    first = whitened.numpy().reshape(-1, 18)[:, :9].astype(np.float64)
    moments = first.T @ first / len(first)
    np.testing.assert_allclose(moments - np.diag(np.diag(moments)), 0, atol=0.02)
    convolution = network.layers[3]
    np.testing.assert_array_equal(convolution.kernel.numpy()[1, 1, :4, :4], np.eye(4))
    assert "whitening/kernel:0" not in [each.name for each in network.trainable_weights]


def test_networks_without_these_settings_keep_their_random_kernels(dataset: Path) -> None:
    data = manifest.read_manifest(str(dataset))
    for model in (Convnet(), Residual()):
        network = models.build_model(model.model_dump(), data.shape(), 2, "0..1")
        before = network.get_weights()
        settings = TrainSettings(model=model)
        initial_kernels.set_initial_kernels(network, settings, data, str(dataset))
        for old, new in zip(before, network.get_weights()):
            np.testing.assert_array_equal(new, old)
