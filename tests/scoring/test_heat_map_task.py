"""What workers compute for the report; the loader is replaced, because it configures TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import saved_model
from halftone import arrow
from halftone.scoring import heat_map_task, predict
from halftone.scoring.heat_map_task import EXPLAINED, explain_images, explain_rows
from halftone.scoring.predict import PredictorSettings
from tables import table

SHAPE = (8, 6, 1)
PREDICTOR = PredictorSettings("net", "v1", ("cat", "dog"), SHAPE, batch_size=2, threads=1)
IMAGES = np.random.default_rng(0).integers(1, 256, (5, *SHAPE), np.uint8)


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> tf.keras.Model:
    corner = saved_model.one_place_network(SHAPE, 2)
    monkeypatch.setattr(predict, "load_model", lambda *_: corner)
    return corner


def test_rows_get_the_map_of_their_class() -> None:
    rows = [(f"k{number}", number % 2, each.tobytes()) for number, each in enumerate(IMAGES)]
    results = list(
        explain_rows(PREDICTOR, [table(EXPLAINED, *rows[:3]), table(EXPLAINED, *rows[3:])])
    )
    found = [row for result in results for row in arrow.iter_rows(result, *result.column_names)]
    assert [(key, *rest) for key, *rest, _, _ in found] == [(f"k{i}", 8, 6) for i in range(5)]
    assert {problem for *_, problem in found} == {""}
    for (_, height, width, values, _), image, number in zip(found, IMAGES, range(5)):
        values = np.frombuffer(values, np.float32).reshape(height, width)
        # The gradient is 1 at one of 48 places: the weight of the map is 1/48.
        expected = image[:, :, 0] / 255 / 48 if number % 2 else np.zeros((8, 6))
        np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_a_network_without_feature_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = saved_model.network(SHAPE, 2)
    monkeypatch.setattr(predict, "load_model", lambda *_: plain)
    problem = "the network has no convolution, and so no feature maps"
    assert explain_images(PREDICTOR, IMAGES, [0] * 5) == ([], problem)
    (result,) = explain_rows(PREDICTOR, [table(EXPLAINED, ("k", 1, IMAGES[0].tobytes()))])
    assert list(arrow.iter_rows(result, *result.column_names)) == [("k", 0, 0, b"", problem)]


def test_an_error_of_a_network_does_not_end_the_scoring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refusing(tf.keras.layers.Layer):
        def call(self, x: Any) -> Any:
            if tf.is_symbolic_tensor(x):
                return x
            raise NotImplementedError("only\nin a graph")

    pixels = tf.keras.Input(SHAPE, dtype="uint8")
    outputs = tf.keras.layers.Flatten()(Refusing()(pixels))
    monkeypatch.setattr(predict, "load_model", lambda *_: tf.keras.Model(pixels, outputs))
    maps, problem = explain_images(PREDICTOR, IMAGES, [0] * 5)
    assert maps == []
    assert problem.startswith("NotImplementedError: ")
    assert "only in a graph" in problem
    assert "Traceback" in capsys.readouterr().err


def test_maps_that_are_not_finite_are_said(network: tf.keras.Model) -> None:
    kernel, *rest = network.get_weights()
    network.set_weights([np.full_like(kernel, np.inf), *rest])
    assert explain_images(PREDICTOR, IMAGES, [1] * 5) == (
        [],
        "the network's gradients are not finite numbers",
    )


def test_large_maps_are_reduced() -> None:
    values = np.arange(130 * 4, dtype=np.float32).reshape(130, 4)
    result = heat_map_task.reduce_map(values)
    assert result.shape == (44, 2)
    assert result[0, 0] == values[:3, :3].mean()
    assert result[-1, -1] == values[129, 3]
    assert heat_map_task.reduce_map(values[:64]) is not None
    assert np.array_equal(heat_map_task.reduce_map(values[:64]), values[:64])
