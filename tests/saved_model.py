"""A model directory with an untrained network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from halftone import model_directory
from halftone.config import Config
from halftone.model_directory import ModelInfo


def network(shape: tuple[int, int, int], classes: int, bias: float = 0.0) -> tf.keras.Model:
    """Build a softmax regression on pixels; `bias` is that of the first class."""
    tf.keras.utils.set_random_seed(3)
    pixels = tf.keras.Input(shape, dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 255)(pixels)
    x = tf.keras.layers.Flatten()(x)
    initializer = tf.keras.initializers.Constant([bias, *[0.0] * (classes - 1)])
    x = tf.keras.layers.Dense(classes, activation="softmax", bias_initializer=initializer)(x)
    return tf.keras.Model(pixels, x)


def one_place_network(
    shape: tuple[int, int, int], classes: int, bias: float = 0.0
) -> tf.keras.Model:
    """Build a network that reads one place: brightness there is a score for the last class.

    Its feature map is the pixels; the place is the middle.
    """
    pixels = tf.keras.Input(shape, dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 255)(pixels)
    x = tf.keras.layers.Conv2D(1, 1, kernel_initializer="ones")(x)
    height_px, width_px, _ = shape
    weights = np.zeros((height_px * width_px, classes), np.float32)
    weights[height_px // 2 * width_px + width_px // 2, -1] = 1.0
    biases = [bias, *[0.0] * (classes - 1)]
    dense = tf.keras.layers.Dense(classes, activation="softmax")
    network = tf.keras.Model(pixels, dense(tf.keras.layers.Flatten()(x)))
    dense.set_weights([weights, np.array(biases, np.float32)])
    return network


def save(
    folder: Path,
    config: Config,
    labels: list[str],
    bias: float = 0.0,
    build: Callable[..., tf.keras.Model] = network,
    **info: Any,
) -> Path:
    """Write it to `folder` as version v<bias>; `info` overrides fields of ModelInfo."""
    folder.mkdir(exist_ok=True)
    pixels = config.pixels
    shape = (pixels.height_px, pixels.width_px, pixels.channels)
    network_path = folder.parent / "network.keras"
    build(shape, len(labels), bias).save(network_path)
    fields: dict[str, Any] = {
        "schema_version": 1,
        "halftone_version": "0.1.0",
        "created": "2026-01-02T03:04:05+00:00",
        "version": f"v{bias}",
        "network": f"network-v{bias}.keras",
        "labels": labels,
        "pixels": pixels,
        "fingerprint": "f00",
        "best_epoch": 1,
        "ranks": 1,
        "train_secs": 1.0,
        "origin": {},
        "config": config,
    }
    entry = {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "secs": 1.0, "images_per_sec": 9.0}
    (folder / "history.json").write_text(json.dumps({"best_epoch": 1, "epochs": [entry]}))
    model_directory.write_model(
        str(folder), ModelInfo(**{**fields, **info}), network_path.read_bytes()
    )
    network_path.unlink()
    return folder
