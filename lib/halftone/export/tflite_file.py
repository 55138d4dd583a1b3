"""Export a network as a TensorFlow Lite file, in float32 or in 8-bit integers.

Input `pixels` (N, H, W, C) uint8, output `probabilities` (N, classes): float32, or uint8 in units
that the file states.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from halftone.export.dataset_rows import DatasetRows
from halftone.export.exported_network import (
    PIXELS,
    PROBABILITIES,
    ExportedNetwork,
    Pixels,
    Predict,
    Probabilities,
    translate_conversion_errors,
    write_saved_model,
)

FILE = "model.tflite"
_SIGNATURE = "serving_default"
_STDERR = 2  # the file descriptor


def write_model(
    exported: ExportedNetwork, folder: str, calibration: Optional[DatasetRows] = None
) -> None:
    """Write the file to `folder`, a local path, as FILE.

    Args:
        calibration: rows from which the ranges of all values are measured; the network then
            computes in 8-bit integers. None: float32.

    Raises:
        RunError: the network has an operation that TensorFlow Lite has not.
    """
    # The converter makes integers of floats only.
    dtype = "uint8" if calibration is None else "float32"
    portable = exported.portable(dtype)
    pixels = tf.TensorSpec((None, *exported.shape), dtype, name=PIXELS)
    function = tf.function(
        lambda pixels: {PROBABILITIES: portable.probabilities(pixels)},
        input_signature=[pixels],
        autograph=False,
    )
    with tempfile.TemporaryDirectory() as saved_model:
        write_saved_model(saved_model, portable.network, {_SIGNATURE: function})
        converter = tf.lite.TFLiteConverter.from_saved_model(
            saved_model, signature_keys=[_SIGNATURE]
        )
        if calibration is not None:
            _quantise(converter, calibration)
        others = "savedmodel or onnx"
        with translate_conversion_errors("TensorFlow Lite", others), _without_messages():
            content = converter.convert()
    with open(os.path.join(folder, FILE), "wb") as file:
        file.write(content)


def _quantise(converter: Any, calibration: DatasetRows) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    converter.representative_dataset = lambda: _calibration_inputs(calibration)


def _calibration_inputs(rows: DatasetRows) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    """Yield one image at a time, the first one also with the darkest and the brightest grey level.

    So an integer of the input is a grey level, whatever the images.
    """
    for number, row in enumerate(rows.batches(1)):
        pixels = row.pixels.astype(np.float32)
        yield {PIXELS: pixels}
        if number == 0:
            full_range = pixels.copy()
            full_range[0, 0, 0], full_range[0, -1, -1] = 0, 255
            yield {PIXELS: full_range}


@contextmanager
def _without_messages() -> Iterator[None]:
    """Discard what the body prints to stderr: the converter logs each operation there, in C++."""
    sys.stderr.flush()
    terminal = os.dup(_STDERR)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), _STDERR)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, _STDERR)
        os.close(terminal)


def load_predictor(folder: str, num_threads: int) -> Predict:
    """Return the prediction of TensorFlow Lite with the file in `folder`."""
    interpreter = tf.lite.Interpreter(os.path.join(folder, FILE), num_threads=num_threads)
    runner = interpreter.get_signature_runner(_SIGNATURE)
    scale, zero_point = runner.get_output_details()[PROBABILITIES]["quantization"]

    def predict(pixels: Pixels) -> Probabilities:
        output = runner(pixels=pixels)[PROBABILITIES].astype(np.float32)
        # A float output has the scale 0.
        return np.asarray((output - zero_point) * scale if scale else output)

    return predict
