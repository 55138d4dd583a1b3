"""A Keras network as the bytes of a .keras file: Keras itself reads and writes local paths only."""

from __future__ import annotations

import os
import tempfile

import tensorflow as tf

from halftone import storage

_NAME = "network.keras"


def serialise_network(network: tf.keras.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _NAME)
        network.save(path)
        with open(path, "rb") as file:
            return file.read()


def load_network(url: str) -> tf.keras.Model:
    """Load the network at `url`, not compiled."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _NAME)
        with open(path, "wb") as file:
            file.write(storage.read_bytes(url))
        return tf.keras.models.load_model(path, compile=False)
