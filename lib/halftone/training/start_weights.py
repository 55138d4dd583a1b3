"""The weights that a training begins with, if they are not random."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from halftone import model_directory, storage
from halftone.config import Application, TrainSettings
from halftone.config.application import NO_WEIGHTS
from halftone.errors import InputError
from halftone.models import application, layer_weights, saved_model


def set_start_weights(
    network: tf.keras.Model, settings: TrainSettings, labels: Sequence[str]
) -> str:
    """Give the network the weights that the settings name; say which, or "" if they name none.

    Raises:
        InputError: weights do not fit the network.
    """
    if settings.start_from:
        return _take_over_model(network, settings.start_from, labels)
    model = settings.model
    if isinstance(model, Application) and model.weights != NO_WEIGHTS:
        application.load_weights(network, model.architecture, model.weights)
        return f"starting from the weights of {model.architecture} in {model.weights}"
    return ""


def _take_over_model(network: tf.keras.Model, model: str, labels: Sequence[str]) -> str:
    """Take the weights of a model; where it has other classes, all but those of its output layer.

    Which output of the new network is which class is not what the old one learned, so its output
    layer keeps the initial weights.
    """
    info = model_directory.read_model_info(model)
    loaded = saved_model.load_network(storage.join(model, info.network))
    theirs, ours = (layer_weights.group_by_layer(each) for each in (loaded, network))
    has_same_classes = info.labels == list(labels)
    output_layer = ours[-1].name
    if not has_same_classes:
        theirs, ours = theirs[:-1], ours[:-1]
    difference = layer_weights.differing_layer(theirs, ours)
    if difference:
        raise InputError(
            f"train.start_from: the network at {model} differs: {difference}. Use its train.model "
            "and the code that built it, or leave start_from out"
        )
    layer_weights.assign_weights(network, ours, (layer.variables for layer in theirs))
    if has_same_classes:
        return f"starting from the weights of {model}"
    return (
        f"starting from the body of {model}, {len(ours)} layers with weights; the output layer "
        f"({output_layer}) is new, as the classes are {', '.join(info.labels)} there and "
        f"{', '.join(labels)} here"
    )
