"""Networks that the user's own code builds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone import models
from halftone.config import ConfigError, Custom, config_from_mapping
from halftone.errors import InputError
from halftone.training import determinism

L = tf.keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 1), np.uint8)


def plain(input_shape: tuple[int, ...], num_classes: int, width: int = 4) -> tf.keras.Model:
    """Softmax over all classes, also over two."""
    inputs = tf.keras.Input(input_shape)
    x = L.Dropout(0.5)(L.Dense(width)(L.Flatten()(inputs)))
    return tf.keras.Model(inputs, L.Dense(num_classes, activation="softmax")(x))


def logits(input_shape: tuple[int, ...], num_classes: int, outputs: int = 0) -> tf.keras.Model:
    inputs = tf.keras.Input(input_shape)
    return tf.keras.Model(inputs, L.Dense(outputs or num_classes)(L.Flatten()(inputs)))


class Subclass(tf.keras.Model):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.flatten, self.dense = L.Flatten(), L.Dense(num_classes, activation="softmax")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.dense(self.flatten(x))


def subclass(input_shape: tuple[int, ...], num_classes: int) -> tf.keras.Model:
    return Subclass(num_classes)


def no_model(input_shape: tuple[int, ...], num_classes: int) -> str:
    return "a model"


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file as a module of the user's own."""
    monkeypatch.setitem(sys.modules, "my_networks", sys.modules[__name__])


def build(function: str, classes: int = 3, **settings: Any) -> tf.keras.Model:
    model = Custom(build=f"my_networks:{function}", **settings)
    return models.build_model(model.model_dump(), (6, 5, 1), classes, "0..1")


def test_function_gets_shape_classes_and_arguments() -> None:
    network = build("plain", args={"width": 7})
    assert [layer.name for layer in network.layers[:2]] == ["pixels", "normalise"]
    (own,) = [layer for layer in network.layers if isinstance(layer, tf.keras.Model)]
    assert own.input_shape == (None, 6, 5, 1)
    # 30 pixels to 7 units, 7 units to 3 classes
    assert network.count_params() == 30 * 7 + 7 + 7 * 3 + 3
    np.testing.assert_allclose(network(PIXELS), own(PIXELS / np.float32(255)), atol=1e-6)


def test_logits_become_probabilities() -> None:
    network = build("logits", output="logits")
    (own,) = [layer for layer in network.layers if isinstance(layer, tf.keras.Model)]
    expected = np.exp(own(PIXELS / np.float32(255)).numpy())
    np.testing.assert_allclose(network(PIXELS), expected / expected.sum(1, keepdims=True), 1e-5)


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        ("plain", {}),
        ("logits", {"output": "logits"}),
        ("logits", {"output": "logits", "args": {"outputs": 1}}),
    ],
)
def test_two_classes_have_one_output(function: str, settings: dict[str, Any]) -> None:
    network = build(function, classes=2, **settings)
    assert network.output_shape == (None, 1)
    (own,) = [layer for layer in network.layers if isinstance(layer, tf.keras.Model)]
    values = own(PIXELS / np.float32(255)).numpy().astype(np.float64)
    if function == "plain":
        expected = values[:, 1:]
    else:
        difference = values[:, -1:] - (values[:, :1] if values.shape[1] == 2 else 0)
        expected = 1 / (1 + np.exp(-difference))
    np.testing.assert_allclose(network(PIXELS), expected, atol=1e-6)


def test_file_of_a_functional_model_opens_without_its_code(tmp_path: Path) -> None:
    network = build("plain", classes=2)
    network.save(tmp_path / "network.keras")
    del sys.modules["my_networks"]
    loaded = tf.keras.models.load_model(tmp_path / "network.keras", compile=False)
    np.testing.assert_array_equal(loaded(PIXELS), network(PIXELS))


def test_subclass_of_model_has_weights() -> None:
    network = build("subclass")
    assert [weight.shape for weight in network.get_weights()] == [(30, 3), (3,)]


def test_random_layers_of_the_own_model_are_repeatable() -> None:
    tf.keras.backend.experimental.enable_tf_random_generator()
    network = build("plain")
    assert len(determinism.random_states(network)) == 1
    outputs = []
    for seed in ("7:1:0", "7:1:0", "7:2:0"):
        determinism.reseed(network, seed)
        outputs.append(network(PIXELS, training=True).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).any()


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_probabilities_are_float32(precision: str) -> None:
    tf.keras.mixed_precision.set_global_policy(precision)
    try:
        assert build("plain").output.dtype == build("logits", output="logits").output.dtype
        assert build("plain", classes=2).output.dtype == tf.float32
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


PREFIX = "train.model.build: "


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"build": "no_such_module:network"},
            "module no_such_module cannot be imported: No module named 'no_such_module'; install "
            "it on all nodes, send it with --py-files, or add its folder to PYTHONPATH",
        ),
        (
            {"build": "my_networks:network"},
            "module my_networks has no function network",
        ),
        (
            {"build": "my_networks:no_model"},
            "my_networks:no_model returned str; return a tf.keras.Model",
        ),
        (
            {"build": "my_networks:logits", "args": {"outputs": 4}},
            "the model of my_networks:logits has output shape (None, 4); 3 classes need (None, 3)",
        ),
    ],
)
def test_code_that_builds_no_such_network(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        models.build_model(Custom(**settings).model_dump(), (6, 5, 1), 3, "0..1")
    assert str(caught.value) == PREFIX + message


def test_logits_that_are_called_probabilities_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        build("logits")
    assert "is not probabilities: for one image its values are between " in str(caught.value)
    assert str(caught.value).endswith("end it with softmax, or use train.model.output logits")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"build": "package/module.py"},
            '.build = "package/module.py": String should match pattern '
            "'^[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*)*:[A-Za-z_]\\w*$'",
        ),
        (
            {"build": "mine:network", "args": {"num_classes": 3}},
            ": args has num_classes, which the dataset determines; remove it from args",
        ),
        ({}, ".build: Field required"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"train": {"model": {"name": "custom", **settings}}}, "run.yaml")
    assert str(caught.value) == f"run.yaml: 1 mistake\n  train.model{message}"
