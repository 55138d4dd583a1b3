"""The table of models: one file a family, a name in the config for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

import tensorflow as tf

from halftone.models import convnet, mlp

# A family adds its layers to the normalised pixels; the output layer is the same for all.
FAMILIES: dict[str, Callable[..., tf.Tensor]] = {"convnet": convnet.layers, "mlp": mlp.layers}

# (scale, offset) of the first layer, on uint8 pixels.
_NORMALISE: dict[str, tuple[float, float]] = {
    "0..1": (1 / 255, 0.0),
    "-0.5..0.5": (1 / 255, -0.5),
}


def build(
    settings: Mapping[str, Any], shape: tuple[int, int, int], num_classes: int, normalise: str
) -> tf.keras.Model:
    """Build a model from pixels to probabilities.

    Args:
        settings: the config's section `train.model`: the family's name and its parameters.
        shape: height, width and channels of an image.
        normalise: a key of the config's `train.normalise`.

    Returns:
        A model from (N, height, width, channels) uint8 to float32 probabilities: (N, 1), that of
        the second class, for two classes (a sigmoid), else (N, num_classes) (a softmax).
    """
    parameters = dict(settings)
    family = FAMILIES[parameters.pop("name")]
    scale, offset = _NORMALISE[normalise]
    pixels = tf.keras.Input(shape, dtype="uint8", name="pixels")
    x = tf.keras.layers.Rescaling(scale, offset, name="normalise")(pixels)
    x = family(x, **parameters)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    # float32 even where the layers before it compute in half precision.
    probability = tf.keras.layers.Dense(
        units, activation=activation, dtype="float32", name="probability"
    )(x)
    return tf.keras.Model(pixels, probability)
