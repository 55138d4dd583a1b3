"""Convert a network to and from a .keras file in storage; Keras supports local paths only.

The file opens by a plain `load_model`, without Halftone. ConvNeXt's layers LayerScale would prevent
that: Keras does not register them. So in the file they are EinsumDense layers without bias, which
have the same weights and the same output.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import tensorflow as tf

from halftone import storage
from halftone.models import layer_weights

_FILE_NAME = "network.keras"


def serialise_network(network: tf.keras.Model) -> bytes:
    """Return the content of the .keras file of `network`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _FILE_NAME)
        _with_registered_layers(network).save(path)
        with open(path, "rb") as file:
            return file.read()


def load_network(url: str) -> tf.keras.Model:
    """Load the network at `url`, not compiled.

    An older Halftone wrote files with layers LayerScale.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _FILE_NAME)
        with open(path, "wb") as file:
            file.write(storage.read_bytes(url))
        layers = {"LayerScale": _layer_scale()}
        return tf.keras.models.load_model(path, custom_objects=layers, compile=False)


def _layer_scale() -> Any:
    """Return ConvNeXt's layer of one weight per channel, which has no public name."""
    return sys.modules[tf.keras.applications.ConvNeXtTiny.__module__].LayerScale


def _with_registered_layers(network: tf.keras.Model) -> tf.keras.Model:
    """Return the network itself, or if it has LayerScale, a copy with EinsumDense instead."""
    layer_scale = _layer_scale()
    layers = layer_weights.nested_layers(network)
    if not any(isinstance(layer, layer_scale) for layer in layers):
        return network

    def copy_layer(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, tf.keras.Model):
            return tf.keras.models.clone_model(layer, clone_function=copy_layer)
        if not isinstance(layer, layer_scale):
            return type(layer).from_config(layer.get_config())
        shape = (None, None, layer.projection_dim)
        return tf.keras.layers.EinsumDense(
            "nhwc,c->nhwc", shape, name=layer.name, trainable=layer.trainable
        )

    copy = tf.keras.models.clone_model(network, clone_function=copy_layer)
    copy.set_weights(network.get_weights())
    return copy
