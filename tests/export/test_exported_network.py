"""Networks as functions: both columns of two classes, and resizing without TensorFlow's own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from exported_networks import exported_network, images
from halftone.errors import InputError, RunError
from halftone.export.exported_network import ExportedNetwork, translate_conversion_errors


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_resizing_by_products_is_that_of_keras(dtype: str) -> None:
    exported = exported_network("mlp")
    pixels = images(exported.shape)
    portable = exported.portable(dtype)
    function = tf.function(portable.probabilities, autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec(pixels.shape, dtype))
    kinds = [operation.type for operation in concrete.graph.get_operations()]
    assert "ResizeArea" not in kinds
    # Floats become no integers on their way.
    assert ("Cast" in kinds) == (dtype == "uint8")
    actual = concrete(tf.constant(pixels.astype(dtype)))
    np.testing.assert_allclose(actual, exported.predict()(pixels), atol=1e-5)


def test_a_portable_network_has_the_same_weights_and_leaves_the_first_as_it_is() -> None:
    exported = exported_network("mlp")
    portable = exported.portable()
    for variable, other in zip(portable.network.weights, exported.network.weights):
        assert variable is other
    kinds = [type(layer).__name__ for layer in portable.network.layers[:2]]
    assert kinds == ["InputLayer", "AreaResizing"]
    assert type(exported.network.layers[1]).__name__ == "Resizing"


def test_one_sigmoid_becomes_two_columns() -> None:
    pixels = tf.keras.Input((1, 1, 1), dtype="uint8")
    output = tf.keras.layers.Rescaling(1 / 255)(tf.keras.layers.Flatten()(pixels))
    exported = ExportedNetwork(tf.keras.Model(pixels, output), ["no", "yes"], (1, 1, 1))
    probabilities = exported.predict()(np.uint8([51, 255]).reshape(2, 1, 1, 1))
    np.testing.assert_allclose(probabilities, [[0.8, 0.2], [0, 1]], atol=1e-6)


def test_what_a_converter_raises_becomes_one_line() -> None:
    with pytest.raises(RunError) as caught, translate_conversion_errors("tool", "a or b"):
        raise KeyError("no\nsuch\noperation")
    assert str(caught.value) == (
        "tool cannot convert the network: 'no\\nsuch\\noperation'; nothing was published. Use "
        "--format a or b"
    )
    with pytest.raises(InputError, match=r"^a damaged row$"), translate_conversion_errors("t", "a"):
        raise InputError("a damaged row")
