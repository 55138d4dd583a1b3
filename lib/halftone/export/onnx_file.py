"""Export a network as an ONNX file, for ONNX Runtime and what else reads ONNX.

Input `pixels` (N, H, W, C) uint8, output `probabilities` (N, classes) float32. The metadata of the
file have `labels`, a JSON list of the classes.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from halftone.errors import InputError
from halftone.export.exported_network import (
    PIXELS,
    PROBABILITIES,
    ExportedNetwork,
    Pixels,
    Predict,
    Probabilities,
    embed_constants,
    translate_conversion_errors,
)

FILE = "model.onnx"
# ONNX Runtime from 1.12 and OpenVINO from 2022.3 on read it. Newer ones gain nothing here.
OPSET = 17
_OLDEST_PYTHON = (3, 10)


def check_python() -> None:
    """Raise InputError if this Python is too old for tf2onnx."""
    if sys.version_info < _OLDEST_PYTHON:
        raise InputError(
            f"--format onnx needs Python 3.10 or 3.11, and this is {sys.version.split()[0]}: "
            "tf2onnx 1.17 does not install on an older one. Use another Python, or --format "
            "savedmodel or tflite"
        )


def write_model(exported: ExportedNetwork, folder: str) -> None:
    """Write the ONNX file to `folder`, a local path, as FILE.

    Raises:
        InputError: this Python is too old.
        RunError: the network has an operation that ONNX has not.
    """
    check_python()
    import onnx
    import tf2onnx

    # It logs what its optimizer does, and what the errors below say.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    embed_constants(exported.network)
    pixels = tf.TensorSpec((None, *exported.shape), tf.uint8, name=PIXELS)
    portable = exported.portable()
    function = tf.function(
        lambda pixels: {PROBABILITIES: portable.probabilities(pixels)},
        input_signature=[pixels],
        autograph=False,
    )
    with translate_conversion_errors("tf2onnx", "savedmodel or tflite"), _inlined_functions():
        model, _ = tf2onnx.convert.from_function(function, [pixels], opset=OPSET)
        inputs = [item.name for item in model.graph.input]
        if inputs != [PIXELS]:
            raise ValueError(f"it made inputs of its constants: {', '.join(inputs)}")
        onnx.helper.set_model_props(model, {"labels": json.dumps(exported.labels)})
        onnx.checker.check_model(model)  # it has operations that ONNX does not, for instance
    onnx.save(model, os.path.join(folder, FILE))


@contextmanager
def _inlined_functions() -> Iterator[None]:
    """Let functions that a graph calls become part of it.

    Keras compiles a convolution with groups, as those of ConvNeXt and RegNet, into a function of
    its own, which tf2onnx would leave as an operation that ONNX does not have.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def load_predictor(folder: str, num_threads: int) -> Predict:
    """Return the prediction of ONNX Runtime on the CPU with the file in `folder`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(
        os.path.join(folder, FILE), options, providers=["CPUExecutionProvider"]
    )

    def predict(pixels: Pixels) -> Probabilities:
        return np.asarray(session.run([PROBABILITIES], {PIXELS: pixels})[0])

    return predict
