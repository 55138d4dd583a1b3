"""ONNX files of all families of networks, read by ONNX Runtime."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import exported_networks
from exported_networks import application, exported_network, images
from halftone.errors import InputError, RunError
from halftone.export import onnx_file
from halftone.export.exported_network import ExportedNetwork
from halftone.export.parity import MAX_DIFFERENCE

convnext = sys.modules[tf.keras.applications.ConvNeXtTiny.__module__]
narrow_convnext = partial(convnext.ConvNeXt, depths=[1, 1, 2, 1], projection_dims=[8, 16, 32, 64])
needs_tf2onnx = pytest.mark.skipif(sys.version_info < (3, 10), reason="tf2onnx needs Python 3.10")


def difference(exported: ExportedNetwork, folder: Path, least_range: float = 0.5) -> float:
    pixels = images(exported.shape)
    onnx_file.write_model(exported, str(folder))
    expected = exported.predict()(pixels)
    assert expected.max() - expected.min() > least_range, "the network tells no images apart"
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)
    actual = onnx_file.load_predictor(str(folder), 1)(pixels)
    assert actual.dtype == np.float32
    assert actual.shape == (len(pixels), len(exported.labels))
    return float(abs(actual - expected).max())


@needs_tf2onnx
@pytest.mark.parametrize("name", exported_networks.NAMES)
def test_probabilities_are_those_of_keras(name: str, tmp_path: Path) -> None:
    assert difference(exported_network(name), tmp_path) <= MAX_DIFFERENCE == 1e-5


@needs_tf2onnx
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["ConvNeXtTiny", "EfficientNetB0"])
def test_probabilities_of_applications(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To convert 28 million weights takes 7 GB. All kinds of layers of ConvNeXt are in a narrow one.
    monkeypatch.setattr(tf.keras.applications, "ConvNeXtTiny", narrow_convnext)
    assert difference(application(architecture), tmp_path, least_range=0) <= MAX_DIFFERENCE


@needs_tf2onnx
def test_inputs_outputs_and_labels(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    onnx_file.write_model(exported_network("mlp"), str(tmp_path))
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (pixels,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.type, pixels.shape[1:]) == ("pixels", "tensor(uint8)", [32, 32, 3])
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert probabilities.shape[1:] == [2]
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == ["a", "b"]
    opsets = {item.domain: item.version for item in onnx.load(tmp_path / "model.onnx").opset_import}
    assert opsets[""] == 17


@needs_tf2onnx
def test_a_network_that_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    pixels = tf.keras.Input((4, 4, 1), dtype="uint8")
    x = tf.math.special.bessel_j0(tf.cast(tf.keras.layers.Flatten()(pixels), tf.float32))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(3, activation="softmax")(x))
    with pytest.raises(RunError) as caught:
        onnx_file.write_model(ExportedNetwork(network, ["a", "b", "c"], (4, 4, 1)), str(tmp_path))
    assert str(caught.value) == (
        "tf2onnx cannot convert the network: No Op registered for BesselJ0 with domain_version of "
        "17; nothing was published. Use --format savedmodel or tflite"
    )
    assert not list(tmp_path.iterdir())


@needs_tf2onnx
def test_convolutions_with_groups_are_part_of_the_graph(tmp_path: Path) -> None:
    """As those of ConvNeXt and RegNet, which Keras compiles apart on CPUs."""
    tf.keras.utils.set_random_seed(0)
    pixels = tf.keras.Input((8, 8, 4), dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 64)(pixels)
    x = tf.keras.layers.Conv2D(8, 3, groups=4)(x)
    x = tf.keras.layers.GlobalMaxPooling2D()(x)
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(3, activation="softmax")(x))
    exported = ExportedNetwork(network, ["a", "b", "c"], (8, 8, 4))
    assert difference(exported, tmp_path, least_range=0.1) <= MAX_DIFFERENCE
    assert not tf.config.functions_run_eagerly()


@needs_tf2onnx
def test_constants_of_normalization_are_no_inputs(tmp_path: Path) -> None:
    """As EfficientNet has, whose mean and variance were adapted or loaded."""
    tf.keras.utils.set_random_seed(0)
    pixels = tf.keras.Input((8, 8, 3), dtype="uint8")
    normalization = tf.keras.layers.Normalization()
    x = tf.keras.layers.Flatten()(normalization(pixels))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(3, activation="softmax")(x))
    normalization.adapt(images((8, 8, 3)))
    exported = ExportedNetwork(network, ["a", "b", "c"], (8, 8, 3))
    assert difference(exported, tmp_path, least_range=0.1) <= MAX_DIFFERENCE


def test_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 20, "final", 0))
    monkeypatch.setattr(sys, "version", "3.9.20 (main)")
    with pytest.raises(InputError) as caught:
        onnx_file.check_python()
    assert str(caught.value) == (
        "--format onnx needs Python 3.10 or 3.11, and this is 3.9.20: tf2onnx 1.17 does not "
        "install on an older one. Use another Python, or --format savedmodel or tflite"
    )
