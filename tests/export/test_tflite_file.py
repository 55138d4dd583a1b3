"""TensorFlow Lite files of all families of networks, in float32 and in 8-bit integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from exported_networks import exported_network, images
from halftone.errors import RunError
from halftone.export import tflite_file
from halftone.export.dataset_rows import LabelledImages
from halftone.export.exported_network import ExportedNetwork
from halftone.export.parity import MAX_DIFFERENCE


class Rows:
    """Rows of a dataset whose pixels are given."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def batches(self, batch_size: int) -> Any:
        for start in range(0, len(self.pixels), batch_size):
            yield LabelledImages(self.pixels[start : start + batch_size], np.zeros(1, np.int64))


def predictions(
    exported: ExportedNetwork, folder: Path, calibration: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Those of Keras and of the file."""
    pixels = images(exported.shape)
    tflite_file.write_model(exported, str(folder), calibration)
    predict = tflite_file.load_predictor(str(folder), 1)
    one = predict(pixels[:1])
    many = predict(pixels)
    np.testing.assert_allclose(one, many[:1], atol=1e-6)
    return exported.predict()(pixels), many


@pytest.mark.parametrize("name", ["whitened", "odd_sides", "mlp", "bottleneck"])
def test_float_probabilities_are_those_of_keras(name: str, tmp_path: Path) -> None:
    expected, actual = predictions(exported_network(name), tmp_path)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=MAX_DIFFERENCE)


@pytest.mark.parametrize("name", ["whitened", "mlp"])
def test_integers_come_near(name: str, tmp_path: Path) -> None:
    exported = exported_network(name)
    calibration = Rows(np.clip(images(exported.shape), 10, 240))
    expected, actual = predictions(exported, tmp_path, calibration)
    assert abs(actual - expected).max() < 0.1
    assert abs(actual - expected).mean() < 0.02
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    (pixels,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    # An integer is a grey level, though no image that calibrates has 0 or 255.
    assert (pixels["dtype"], pixels["quantization"]) == (np.uint8, (1.0, 0))
    assert output["dtype"] == np.uint8
    assert output["quantization"] == (pytest.approx(1 / 256, rel=0.05), 0)
    # No operation computes in floats.
    kinds = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert kinds <= {np.uint8, np.int8, np.int32, np.int64}


def test_a_network_that_cannot_be_converted_is_refused(tmp_path: Path, capfd: Any) -> None:
    pixels = tf.keras.Input((4, 4, 1), dtype="uint8")
    x = tf.math.special.bessel_j0(tf.cast(tf.keras.layers.Flatten()(pixels), tf.float32))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(3, activation="softmax")(x))
    exported = ExportedNetwork(network, ["a", "b", "c"], (4, 4, 1))
    with pytest.raises(RunError) as caught:
        tflite_file.write_model(exported, str(tmp_path))
    message = str(caught.value)
    assert message.startswith("TensorFlow Lite cannot convert the network: ")
    assert message.endswith("nothing was published. Use --format savedmodel or onnx")
    assert "\n" not in message
    assert not list(tmp_path.iterdir())
    assert "Summary on the non-converted ops" not in capfd.readouterr().err
