"""Publish the best checkpoint as the model that scoring reads."""

from __future__ import annotations

import hashlib
import platform
from datetime import datetime, timezone
from typing import Any

import numpy as np
import tensorflow as tf

import halftone
from halftone import model_directory, models
from halftone.config import Config, SparkSettings, StorageSettings
from halftone.dataset.manifest import Manifest
from halftone.dataset.schema import SCHEMA_VERSION
from halftone.dataset.splits import TRAIN
from halftone.model_directory import LayerInfo, ModelInfo
from halftone.models import saved_model
from halftone.system.machine import package_versions
from halftone.training.checkpoint import Checkpoint

_PACKAGES = ("tensorflow", "keras", "horovod", "petastorm", "numpy", "opencv-python-headless")


def build_network(config: Config, manifest: Manifest, augments: bool) -> tf.keras.Model:
    """Build the network of a config, with its augmentation layers if `augments`."""
    settings = config.train
    return models.build_model(
        settings.model.model_dump(),
        manifest.shape(),
        len(manifest.labels),
        settings.normalise,
        statistics=manifest.pixel_statistics(TRAIN) if settings.needs_statistics else None,
        augment=settings.augment.image_settings() if augments else None,
        input_size=settings.input_size(manifest.shape()),
    )


def publish_model(
    config: Config,
    manifest: Manifest,
    output: str,
    best: Checkpoint,
    *,
    ranks: int,
    train_secs: float,
) -> None:
    """Write the network with the weights of `best` to the model directory, and model.json last."""
    tf.keras.mixed_precision.set_global_policy("float32")
    network = build_network(config, manifest, augments=False)
    network.set_weights(best.published_weights)
    version = _weights_digest(best.published_weights)
    network_file = saved_model.serialise_network(network)
    model_directory.write_model(
        output,
        ModelInfo(
            schema_version=SCHEMA_VERSION,
            halftone_version=halftone.__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            version=version,
            network=f"network-{version}.keras",
            labels=manifest.labels,
            pixels=manifest.pixels.without_lossless_encoding(),
            fingerprint=manifest.fingerprint,
            split_salts=manifest.split_salts,
            best_epoch=best.epoch,
            ranks=ranks,
            train_secs=round(train_secs, 3),
            restarts=model_directory.read_restarts(output),
            origin=best.fingerprint,
            # The settings of Spark and storage do not describe the model and may hold passwords.
            config=config.model_copy(
                update={"spark": SparkSettings(), "storage": StorageSettings()}
            ),
            num_parameters=int(network.count_params()),
            network_bytes=len(network_file),
            layers=_describe_layers(network),
            versions={"python": platform.python_version(), **package_versions(_PACKAGES)},
        ),
        network_file,
    )


def _describe_layers(network: tf.keras.Model) -> list[LayerInfo]:
    return [
        LayerInfo(
            name=layer.name,
            kind=type(layer).__name__,
            shape=tuple(tf.nest.flatten(layer.inbound_nodes[-1].outputs)[0].shape[1:]),
            parameters=int(layer.count_params()),
        )
        for layer in network.layers
    ]


def _weights_digest(weights: list[Any]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for array in weights:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
