"""A trained network as a function of TensorFlow, as all formats export it.

The reference is the network file of the model directory, with which scoring predicts. Training with
mixed precision publishes it with float32 computation, so that is what is exported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from halftone.errors import InputError, RunError
from halftone.export.graph_fitting import axis_weights
from halftone.models import layer_weights

Pixels = npt.NDArray[np.uint8]  # (N, H, W, C)
Probabilities = npt.NDArray[np.float32]  # (N, classes)
Predict = Callable[[Pixels], Probabilities]

PIXELS, PROBABILITIES = "pixels", "probabilities"


class ExportedNetwork(NamedTuple):
    """A network of the package `models`, and what its numbers mean."""

    network: tf.keras.Model
    labels: list[str]  # classes, in the order of the probabilities
    shape: tuple[int, int, int]  # of an image

    def probabilities(self, pixels: tf.Tensor) -> tf.Tensor:
        """Return (N, classes) float32. A network of two classes has one output for the second."""
        return _both_columns(self.network(pixels, training=False))

    def portable(self, dtype: str = "uint8") -> ExportedNetwork:
        """Return it with the same weights, for what is not TensorFlow.

        Neither ONNX nor TensorFlow Lite can resize by averaging areas, as `train.input_px` does;
        tf2onnx converts it to a choice of single pixels, without an error.

        Args:
            dtype: of the grey levels that it takes.
        """
        pixels = tf.keras.Input(self.shape, dtype=dtype, name=PIXELS)
        network = tf.keras.models.clone_model(
            self.network, input_tensors=pixels, clone_function=_portable_layer
        )
        return self._replace(network=network)

    def predict(self) -> Predict:
        """Return the prediction of Keras, the reference of all formats."""
        forward = tf.function(
            self.probabilities,
            input_signature=[tf.TensorSpec((None, *self.shape), tf.uint8)],
            autograph=False,
        )
        return lambda pixels: np.asarray(forward(tf.constant(pixels)))


@contextmanager
def translate_conversion_errors(converter: str, other_formats: str) -> Iterator[None]:
    """Raise RunError, with one line, for what a converter raises, which are all kinds of types.

    Args:
        converter: its name.
        other_formats: what the message proposes.
    """
    try:
        yield
    except (InputError, RunError):  # such as a damaged row that calibrates
        raise
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(
            f"{converter} cannot convert the network: {first_line}; nothing was published. Use "
            f"--format {other_formats}"
        ) from error


def embed_constants(network: tf.keras.Model) -> None:
    """Let mean and variance of Keras' Normalization become constants of a graph.

    As tensors, which they are, they become inputs of what tf2onnx converts.
    """
    for layer in layer_weights.nested_layers(network):
        if isinstance(layer, tf.keras.layers.Normalization):
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


def write_saved_model(path: str, network: tf.keras.Model, signatures: dict[str, Any]) -> None:
    """Write a SavedModel with these tf.functions as signatures.

    Only variables are saved besides, not Keras' description of the layers.
    """
    module = tf.Module()
    module.network_variables = network.variables
    for name, signature in signatures.items():
        setattr(module, name, signature)
    tf.saved_model.save(module, path, signatures=signatures)


def _both_columns(output: tf.Tensor) -> tf.Tensor:
    return tf.concat([1 - output, output], axis=1) if output.shape[1] == 1 else output


def _portable_layer(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    """Return the layer itself, or what replaces it."""
    if isinstance(layer, tf.keras.layers.Resizing) and layer.interpolation == "area":
        return AreaResizing(layer.height, layer.width)
    return layer


class AreaResizing(tf.keras.layers.Layer):
    """Resizes by averaging areas: two products with constant matrices.

    Input: (N, h, w, C). Output: (N, height_px, width_px, C) float32.
    """

    def __init__(self, height_px: int, width_px: int) -> None:
        super().__init__(dtype="float32")
        self._size_px = (height_px, width_px)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        for side_px, size_px in zip(x.shape[1:3], self._size_px):
            with tf.init_scope():
                sides = tf.constant(0.0), tf.constant(float(side_px)), tf.constant(side_px)
                weights = axis_weights(*sides, size_px).numpy()
            # The first side that is left goes to the end: (N, h, w, C) -> (N, w, C, height).
            x = tf.tensordot(tf.cast(x, tf.float32), tf.constant(weights), [[1], [1]])
        return tf.transpose(x, [0, 2, 3, 1])  # from (N, C, height, width)
