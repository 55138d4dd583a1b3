"""Export a network as a TensorFlow SavedModel, for TensorFlow Serving and tf.saved_model.load.

serving_default   pixels (N, H, W, C) uint8
serving_bytes     image_bytes (N,) string: image files, which the graph decodes and resizes

Both return `probabilities` (N, classes) float32 and `label` (N,) string, the most probable class.
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from halftone.config import PixelSpec
from halftone.export.exported_network import (
    PIXELS,
    PROBABILITIES,
    ExportedNetwork,
    Pixels,
    Predict,
    Probabilities,
    write_saved_model,
)
from halftone.export.graph_decoding import decode_in_graph
from halftone.metrics.thresholds import DEFAULT_THRESHOLD

FOLDER = "saved_model"
DEFAULT_SIGNATURE, BYTES_SIGNATURE = "serving_default", "serving_bytes"
IMAGE_BYTES, LABEL = "image_bytes", "label"


def write_model(exported: ExportedNetwork, spec: PixelSpec, folder: str) -> None:
    """Write the SavedModel to `folder`, a local path, below FOLDER.

    Args:
        spec: how images are decoded.
    """

    def predict(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = exported.probabilities(pixels)
        labels = tf.gather(tf.constant(exported.labels), _predict_classes(probabilities))
        return {PROBABILITIES: probabilities, LABEL: labels}

    def predict_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        output = tf.TensorSpec(spec.shape, tf.uint8)
        return predict(
            tf.map_fn(
                lambda data: decode_in_graph(data, spec), image_bytes, fn_output_signature=output
            )
        )

    pixels_spec = tf.TensorSpec((None, *exported.shape), tf.uint8, name=PIXELS)
    bytes_spec = tf.TensorSpec((None,), tf.string, name=IMAGE_BYTES)
    signatures = {
        DEFAULT_SIGNATURE: tf.function(predict, [pixels_spec], autograph=False),
        BYTES_SIGNATURE: tf.function(predict_bytes, [bytes_spec], autograph=False),
    }
    write_saved_model(os.path.join(folder, FOLDER), exported.network, signatures)


def _predict_classes(probabilities: tf.Tensor) -> tf.Tensor:
    """Return the class of each row by the rule of `metrics.thresholds` at its default."""
    if probabilities.shape[1] == 2:
        return tf.cast(probabilities[:, 1] >= DEFAULT_THRESHOLD, tf.int64)
    return tf.argmax(probabilities, axis=1)


def load_predictor(folder: str) -> Predict:
    """Return the prediction of `serving_default` of the SavedModel in `folder`."""
    model = tf.saved_model.load(os.path.join(folder, FOLDER))

    def predict(pixels: Pixels) -> Probabilities:
        # Through the model: its signature alone would not keep its variables alive.
        signature = model.signatures[DEFAULT_SIGNATURE]
        return np.asarray(signature(pixels=tf.constant(pixels))[PROBABILITIES])

    return predict
