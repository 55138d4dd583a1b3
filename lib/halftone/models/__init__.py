"""The table of models: one file a family, a name in the config for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, Union

import tensorflow as tf

from halftone.models import augmentation, convnet, mlp

# A family adds its layers to the normalised pixels; the output layer is the same for all.
FAMILIES: dict[str, Callable[..., tf.Tensor]] = {
    "convnet": convnet.add_convnet_layers,
    "mlp": mlp.add_mlp_layers,
}

# Mean and deviation of pixels, by channel, in grey levels 0..255.
ChannelStatistics = tuple[Sequence[float], Sequence[float]]
# One for all channels, or one a channel.
_Scale = Union[float, list[float]]


def build_model(
    settings: Mapping[str, Any],
    shape: tuple[int, int, int],
    num_classes: int,
    normalise: str,
    statistics: Optional[ChannelStatistics] = None,
    augment: Optional[Mapping[str, Any]] = None,
) -> tf.keras.Model:
    """Build a model from pixels to probabilities.

    Args:
        settings: the config's section `train.model`: the family's name and its parameters.
        shape: height, width and channels of an image.
        normalise: the config's `train.normalise`.
        statistics: what `standard` makes mean 0 and deviation 1.
        augment: the config's section `train.augment`; None leaves it out. The weights are the
            same with and without it, in number and order.

    Returns:
        A model from (N, height, width, channels) uint8 to float32 probabilities: (N, 1), that of
        the second class, for two classes (a sigmoid), else (N, num_classes) (a softmax).

    Raises:
        ValueError: `standard` without statistics.
    """
    parameters = dict(settings)
    family = FAMILIES[parameters.pop("name")]
    scale, offset = _scale_and_offset(normalise, statistics)
    pixels = tf.keras.Input(shape, dtype="uint8", name="pixels")
    x = augmentation.add_augmentation(pixels, **augment) if augment else pixels
    # float32 even where the layers after it compute in half precision.
    x = tf.keras.layers.Rescaling(scale, offset, dtype="float32", name="normalise")(x)
    x = family(x, **parameters)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    probability = tf.keras.layers.Dense(
        units, activation=activation, dtype="float32", name="probability"
    )(x)
    return tf.keras.Model(pixels, probability)


def _scale_and_offset(
    normalise: str, statistics: Optional[ChannelStatistics]
) -> tuple[_Scale, _Scale]:
    """What grey levels 0..255 are multiplied by, and what is then added."""
    if normalise == "0..1":
        return 1 / 255, 0.0
    if normalise == "-0.5..0.5":
        return 1 / 255, -0.5
    if statistics is None:
        raise ValueError(f"normalise {normalise} needs the dataset's statistics")
    means, deviations = statistics
    scales = [1 / deviation for deviation in deviations]
    return scales, [-mean * scale for mean, scale in zip(means, scales)]
