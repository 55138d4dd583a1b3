"""Convert a network to and from a .keras file in storage; Keras supports local paths only."""

from __future__ import annotations

import os
import sys
import tempfile

import tensorflow as tf

from halftone import storage

_FILE_NAME = "network.keras"


def serialise_network(network: tf.keras.Model) -> bytes:
    """Return the content of the .keras file of `network`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _FILE_NAME)
        network.save(path)
        with open(path, "rb") as file:
            return file.read()


def load_network(url: str) -> tf.keras.Model:
    """Load the network at `url`, not compiled.

    ConvNeXt has a layer that Keras does not find by itself in a file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _FILE_NAME)
        with open(path, "wb") as file:
            file.write(storage.read_bytes(url))
        convnext = sys.modules[tf.keras.applications.ConvNeXtTiny.__module__]
        layers = {"LayerScale": convnext.LayerScale}
        return tf.keras.models.load_model(path, custom_objects=layers, compile=False)
