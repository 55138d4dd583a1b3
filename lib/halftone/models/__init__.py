"""Build networks. Each family is a module and has a name in the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, Union

import tensorflow as tf

from halftone.models import (
    application,
    augmentation,
    convnet,
    custom,
    mlp,
    residual,
    resized_crop,
)
from halftone.models.output import add_output_layer

# Each function adds the layers of a family to the normalised pixels; all share the output layer.
# A network of the user's own has its own; one of keras.applications scales the pixels itself.
FAMILIES: dict[str, Callable[..., tf.Tensor]] = {
    "convnet": convnet.add_convnet_layers,
    "mlp": mlp.add_mlp_layers,
    "residual": residual.add_residual_layers,
    "application": application.add_application_layers,
}

# Mean and standard deviation of the pixels by channel, in grey levels 0..255.
ChannelStatistics = tuple[Sequence[float], Sequence[float]]
# One value for all channels, or one per channel.
_Scale = Union[float, list[float]]
# The layer that ends the scaling of pixels, also in module `application`.
_NORMALISE = "normalise"


def build_model(
    settings: Mapping[str, Any],
    shape: tuple[int, int, int],
    num_classes: int,
    normalise: str,
    statistics: Optional[ChannelStatistics] = None,
    augment: Optional[Mapping[str, Any]] = None,
    input_size: Optional[tuple[int, int]] = None,
) -> tf.keras.Model:
    """Build a model from pixels to probabilities.

    Args:
        settings: the config's section `train.model`: the family's name and its parameters.
        shape: height, width and channels of an image.
        normalise: the config's `train.normalise`.
        statistics: of the train split; `standard` scales them to mean 0 and deviation 1, and
            cutout covers pixels with the mean.
        augment: the settings of `train.augment` that change single images; None adds no
            augmentation layers. They have no weights, so the weights of both networks correspond in
            number and order.
        input_size: height and width to which the model resizes images first; None: those of
            `shape`.

    Returns:
        A model from (N, height, width, channels) uint8 to float32 probabilities. For two classes
        (N, 1), a sigmoid for the second class; else (N, num_classes), a softmax.

    Raises:
        ValueError: normalise is `standard`, or cutout is set, and there are no statistics.
        InputError: the user's own code does not build a network of this shape.
    """
    parameters = dict(settings)
    name = parameters.pop("name")
    pixels = tf.keras.Input(shape, dtype="uint8", name="pixels")
    size = input_size or shape[:2]
    if augment:
        means = statistics[0] if statistics else None
        x = augmentation.add_augmentation(pixels, **augment, input_size=size, means=means)
    else:
        x = resized_crop.add_resizing(pixels, size)
    if name == "application":
        x = application.add_input_scaling(x, parameters["architecture"])
    else:
        scale, offset = _scale_and_offset(normalise, statistics)
        # float32 even if the layers after it compute in half precision.
        x = tf.keras.layers.Rescaling(scale, offset, dtype="float32", name=_NORMALISE)(x)
    if name == "custom":
        probability = custom.add_custom_network(x, num_classes, **parameters)
    else:
        probability = add_output_layer(FAMILIES[name](x, **parameters), num_classes)
    return tf.keras.Model(pixels, probability)


def split_after_normalisation(network: tf.keras.Model) -> tuple[tf.keras.Model, tf.keras.Model]:
    """Return the part of a model of `build_model` up to the normalised pixels, and the rest.

    Both have the layers of the model and not copies of them.
    """
    pixels = network.get_layer(_NORMALISE).output
    return tf.keras.Model(network.inputs, pixels), tf.keras.Model(pixels, network.outputs)


def _scale_and_offset(
    normalise: str, statistics: Optional[ChannelStatistics]
) -> tuple[_Scale, _Scale]:
    """Return the factor for grey levels 0..255, and the offset that is then added."""
    if normalise == "0..1":
        return 1 / 255, 0.0
    if normalise == "-0.5..0.5":
        return 1 / 255, -0.5
    if statistics is None:
        raise ValueError(f"normalise {normalise} needs the dataset's statistics")
    means, deviations = statistics
    scales = [1 / deviation for deviation in deviations]
    return scales, [-mean * scale for mean, scale in zip(means, scales)]
