"""Files of networks: every layer in them is one that Keras finds by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pytest
import tensorflow as tf

import saved_model as example_model
from doc_blocks import find_code
from halftone import models
from halftone.config import Config, config_from_mapping
from halftone.models import saved_model

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
# Opens a model without Halftone.
OPEN = find_code("docs/how-to/own-code.md", "import json, pathlib\n")


def network_with_layer_scale() -> tf.keras.Model:
    """As one of ConvNeXt: a model inside a model, with the layer that Keras does not register."""
    convnext = sys.modules[tf.keras.applications.ConvNeXtTiny.__module__]
    inside = tf.keras.Input((8, 8, 3))
    x = tf.keras.Sequential([tf.keras.layers.Conv2D(5, 3, name="stem")], name="stem")(inside)
    past = x
    x = convnext.LayerScale(1e-6, 5, name="block_layer_scale")(x)
    body = tf.keras.Model(inside, past + x, name="body")
    pixels = tf.keras.Input((8, 8, 3), dtype="uint8", name="pixels")
    x = tf.keras.layers.Rescaling(1 / 255)(pixels)
    x = tf.keras.layers.GlobalAveragePooling2D()(body(x))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(3, activation="softmax")(x))
    rng = np.random.default_rng(1)
    network.set_weights([rng.normal(0.3, 1, weight.shape) for weight in network.weights])
    return network


def test_layer_scale_becomes_a_layer_that_keras_finds(tmp_path: Path) -> None:
    """With the same weights in the same order, so that a training can start from the file."""
    network = network_with_layer_scale()
    path = tmp_path / "network.keras"
    path.write_bytes(saved_model.serialise_network(network))
    plain = tf.keras.models.load_model(path)
    expected = network(PIXELS).numpy()
    assert len({tuple(row) for row in expected}) == 2
    np.testing.assert_array_equal(plain(PIXELS), expected)
    np.testing.assert_array_equal(saved_model.load_network(str(path))(PIXELS), expected)
    assert [weight.shape for weight in plain.weights] == [w.shape for w in network.weights]
    for value, other in zip(plain.get_weights(), network.get_weights()):
        np.testing.assert_array_equal(value, other)


def test_a_file_of_an_older_halftone_opens_by_ours_alone(tmp_path: Path) -> None:
    """Also notices when Keras registers the layer, and the copies are needed no more."""
    network = network_with_layer_scale()
    path = tmp_path / "network.keras"
    network.save(path)
    with pytest.raises(TypeError, match="'str' object is not callable"):
        tf.keras.models.load_model(path)
    np.testing.assert_array_equal(saved_model.load_network(str(path))(PIXELS), network(PIXELS))


def test_a_network_without_such_layers_is_written_as_it_is(tmp_path: Path) -> None:
    pixels = tf.keras.Input((2, 2, 1), dtype="uint8")
    x = tf.keras.layers.Flatten()(tf.keras.layers.Rescaling(1 / 255)(pixels))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(3, name="last")(x))
    path = tmp_path / "network.keras"
    path.write_bytes(saved_model.serialise_network(network))
    loaded = saved_model.load_network(str(path))
    assert loaded.get_config() == network.get_config()
    np.testing.assert_array_equal(loaded.get_weights()[0], network.get_weights()[0])


@pytest.mark.slow
def test_code_of_the_readme_runs_without_halftone(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    """For one model of each family in one process, which takes seconds to import TensorFlow."""
    cv2.imwrite(str(tmp_path / "face.png"), np.random.default_rng(2).integers(0, 256, (40, 70, 3)))
    folders = {
        "convnet": {"name": "convnet", "filters": [4]},
        "mlp": {"name": "mlp", "hidden": [5]},
        "residual": {"name": "residual", "blocks": 1, "filters": [4], "strides_px": 2},
    }
    program = ["import sys", "sys.modules['halftone'] = None"]
    for name, settings in folders.items():
        train = config_from_mapping({"train": {"model": settings, "input_px": 12}}, name).train
        network = models.build_model(
            train.model.model_dump(), (16, 16, 1), 3, train.normalise, input_size=(12, 12)
        )
        folder = example_model.save(tmp_path / name, config(), ["a", "b", "c"])
        (folder / "network-v0.0.keras").write_bytes(saved_model.serialise_network(network))
        assert "out/demo/model" in OPEN
        code = OPEN.replace("out/demo/model", str(folder)).replace("face.jpg", "face.png")
        program += [code.replace("face.png", str(tmp_path / "face.png"))]
        program += ["print(probabilities.shape, float(probabilities.sum()) - 1 < 1e-6)"]
    completed = subprocess.run(
        [sys.executable, "-c", "\n".join(program)], capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.count("(1, 3) True\n") == 3
