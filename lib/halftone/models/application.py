"""The networks of keras.applications, with their own input scaling as layers.

Input: (N, H, W, C) grey levels 0..255, uint8 or float32; one channel becomes three equal ones.
Output: (N, F) float32, the pooled feature maps or the values of the last dense layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from halftone.errors import InputError
from halftone.models import layer_weights, weights_file
from halftone.models.layer_weights import LayerWeights

# Of ImageNet's pixels, by channel, as in keras.applications.
_MEANS = (0.485, 0.456, 0.406)
_DEVIATIONS = (0.229, 0.224, 0.225)
_BGR_MEANS = (103.939, 116.779, 123.68)
# What preprocess_input does for an architecture; for all others it does nothing, because the
# scaling is inside the network. The longest prefix of a name counts.
_SCALINGS = {
    "DenseNet": "deviations",
    "Inception": "-1..1",
    "MobileNet": "-1..1",
    "MobileNetV3": "inside",
    "NASNet": "-1..1",
    "ResNet": "bgr",
    "ResNet50V2": "-1..1",
    "ResNet101V2": "-1..1",
    "ResNet152V2": "-1..1",
    "ResNetRS": "inside",
    "VGG": "bgr",
    "Xception": "-1..1",
}
_POOLINGS = {
    "average": tf.keras.layers.GlobalAveragePooling2D,
    "max": tf.keras.layers.GlobalMaxPooling2D,
}


def add_input_scaling(x: tf.Tensor, architecture: str) -> tf.Tensor:
    """Add what keras.applications has as the function `preprocess_input` of the architecture."""
    # float32 even if the layers after it compute in half precision.
    if x.shape[-1] == 1:
        x = tf.keras.layers.Concatenate(dtype="float32", name="three_channels")([x, x, x])
    scaling = _scaling_of(architecture)
    scale: Union[float, list[float]] = 1.0
    offset: Union[float, list[float]] = 0.0
    if scaling == "-1..1":
        scale, offset = 1 / 127.5, -1.0
    elif scaling == "deviations":
        scale = [1 / (255 * deviation) for deviation in _DEVIATIONS]
        offset = [-mean / deviation for mean, deviation in zip(_MEANS, _DEVIATIONS)]
    elif scaling == "bgr":
        x = _reverse_channels(x)
        offset = [-mean for mean in _BGR_MEANS]
    return tf.keras.layers.Rescaling(scale, offset, dtype="float32", name="normalise")(x)


def _scaling_of(architecture: str) -> str:
    prefixes = [prefix for prefix in _SCALINGS if architecture.startswith(prefix)]
    return _SCALINGS[max(prefixes, key=len)] if prefixes else "inside"


def _reverse_channels(x: tf.Tensor) -> tf.Tensor:
    """RGB to BGR, with layers that any Keras has."""
    channels = [
        # Told that channels come first, Keras crops the last two axes: columns and channels.
        tf.keras.layers.Cropping2D(
            ((0, 0), (number, 2 - number)),
            data_format="channels_first",
            dtype="float32",
            name=f"channel_{number}",
        )(x)
        for number in (2, 1, 0)
    ]
    return tf.keras.layers.Concatenate(dtype="float32", name="reversed_channels")(channels)


def add_application_layers(
    x: tf.Tensor, *, architecture: str, weights: str, head: Mapping[str, Any]
) -> tf.Tensor:
    """Add the layers; the parameters are those of the config's `Application`.

    The weights are random: `load_weights` reads those of a file.
    """
    build = getattr(tf.keras.applications, architecture)
    # Without weights=None Keras would download a file. As a model inside the network: some of these
    # functions begin anew at the source of an `input_tensor`, and so skip the input scaling.
    body = build(include_top=False, weights=None, input_shape=tuple(x.shape[1:]))
    return _add_head(body(x), **head)


def _add_head(x: tf.Tensor, *, pooling: str, dense: Sequence[int], dropout: float) -> tf.Tensor:
    x = _POOLINGS[pooling](name="head_pooling")(x)
    if dropout:
        x = tf.keras.layers.Dropout(dropout, name="head_dropout")(x)
    for number, units in enumerate(dense, 1):
        x = tf.keras.layers.Dense(units, activation="relu", name=f"head_dense_{number}")(x)
        if dropout:
            x = tf.keras.layers.Dropout(dropout, name=f"head_dropout_{number}")(x)
    return x


def find_backbone(network: tf.keras.Model) -> tf.keras.Model:
    """Return the part of a network that is of keras.applications: all layers with weights but the
    head's."""
    (backbone,) = (layer for layer in network.layers if isinstance(layer, tf.keras.Model))
    return backbone


def load_weights(network: tf.keras.Model, architecture: str, url: str) -> None:
    """Set the weights of all layers but the head's to those of a file of Keras.

    Raises:
        InputError: there is no such file, or it is of another architecture or has a head.
    """
    ours = layer_weights.group_by_top_layer(find_backbone(network))
    theirs = weights_file.read_layers(url)
    difference = layer_weights.differing_layer(theirs, ours)
    if difference:
        raise InputError(
            f"train.model.weights: {url} does not fit {architecture}: {difference}. Use the "
            "*_notop.h5 of this architecture"
        )
    has_published_variances = architecture.startswith("EfficientNetB")
    values = [
        _as_trained(there.arrays)
        if has_published_variances and _is_input_normalisation(here)
        else there.arrays
        for there, here in zip(theirs, ours)
    ]
    layer_weights.assign_weights(network, ours, values)


def _is_input_normalisation(layer: LayerWeights) -> bool:
    return layer.name.startswith("normalization")


def _as_trained(arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return mean, variance and count of EfficientNet's pixels, with the variance squared.

    The published files have the deviations as variances, and with weights="imagenet" Keras adds a
    layer that divides once more by their square roots (tensorflow#49930).
    """
    mean, variance, count = arrays
    if np.allclose(variance.ravel(), _DEVIATIONS):
        variance = variance**2
    return [mean, variance, count]
