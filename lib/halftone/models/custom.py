"""Networks that the user's own code builds.

Input: (N, H, W, C) float32, normalised pixels. Output: (N, K) float32 probabilities, or (N, 1) for
two classes. A functional model of the user becomes part of the network's file, which any Keras
opens without the code; a subclass of Model or Layer needs its code again where it is loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from halftone.errors import InputError
from halftone.models.output import OUTPUT_LAYER

# How far a sum of probabilities may be from 1: mixed precision rounds to 3 digits.
_SUM_TOLERANCE = 0.02


def add_custom_network(
    x: tf.Tensor, num_classes: int, *, build: str, args: Mapping[str, Any], output: str
) -> tf.Tensor:
    """Add the network and what turns its output into probabilities; see the config's `Custom`.

    Raises:
        InputError: the function cannot be imported, or returns something else than a Keras model
            with such an input and output.
    """
    shape = tuple(x.shape[1:])
    model = _import_function(build)(input_shape=shape, num_classes=num_classes, **args)
    if not isinstance(model, tf.keras.Model):
        raise InputError(
            f"train.model.build: {build} returned {type(model).__name__}; return a tf.keras.Model"
        )
    model(tf.zeros([1, *shape]))  # a subclass of Model has weights after its first call
    y = model(x)
    _check_output_shape(y, num_classes, build)
    if output == "logits":
        activation = "sigmoid" if y.shape[-1] == 1 else "softmax"
        y = tf.keras.layers.Activation(activation, dtype="float32", name="activation")(y)
    else:
        _check_probabilities(model, shape, build)
    if num_classes == 2 and y.shape[-1] == 2:
        y = _take_second_class(y)
    return tf.keras.layers.Activation("linear", dtype="float32", name=OUTPUT_LAYER)(y)


def _import_function(build: str) -> Any:
    module_name, _, name = build.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"train.model.build: module {module_name} cannot be imported: {error}; install it on "
            "all nodes, send it with --py-files, or add its folder to PYTHONPATH"
        ) from None
    if not hasattr(module, name):
        raise InputError(f"train.model.build: module {module_name} has no function {name}")
    return getattr(module, name)


def _check_output_shape(y: tf.Tensor, num_classes: int, build: str) -> None:
    shapes = [(None, num_classes)] + [(None, 1)] * (num_classes == 2)
    shape = tuple(getattr(y, "shape", ()))
    if shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise InputError(
            f"train.model.build: the model of {build} has output shape {shape}; {num_classes} "
            f"classes need {expected}"
        )


def _check_probabilities(model: tf.keras.Model, shape: tuple[int, ...], build: str) -> None:
    """Raise InputError unless the output for one image of noise can be probabilities."""
    pixels = np.random.default_rng(0).random((1, *shape), np.float32)
    (values,) = np.asarray(model(pixels, training=False), np.float64)
    total = values.sum()
    has_sum = len(values) == 1 or abs(total - 1) < _SUM_TOLERANCE
    if not has_sum or values.min() < 0 or values.max() > 1:
        raise InputError(
            f"train.model.build: the output of the model of {build} is not probabilities: for one "
            f"image its values are between {values.min():.3g} and {values.max():.3g}, and their "
            f"sum is {total:.3g}; end it with softmax, or use train.model.output logits"
        )


def _take_second_class(y: tf.Tensor) -> tf.Tensor:
    """(N, 2) to (N, 1), with layers that any Keras has."""
    y = tf.keras.layers.Reshape((2, 1), dtype="float32", name="classes")(y)
    y = tf.keras.layers.Cropping1D((1, 0), dtype="float32", name="second_class")(y)
    return tf.keras.layers.Flatten(dtype="float32", name="probability_of_second_class")(y)
