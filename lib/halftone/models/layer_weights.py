"""The weights of a network by the layer that owns them, in the order of `get_weights`."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class LayerWeights(NamedTuple):
    """The weights of one layer."""

    name: str
    variables: list[tf.Variable]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(variable.shape) for variable in self.variables]


def group_by_layer(model: tf.keras.Model) -> list[LayerWeights]:
    """Return the layers that have weights, also those of models inside `model`.

    The last one is the output layer, if the model is functional.
    """
    owners = {
        id(variable): layer
        for layer in model._flatten_layers(include_self=False)
        for variable in [*layer._trainable_weights, *layer._non_trainable_weights]
    }
    groups: dict[int, LayerWeights] = {}
    for variable in model.weights:
        layer = owners[id(variable)]
        groups.setdefault(id(layer), LayerWeights(layer.name, [])).variables.append(variable)
    return list(groups.values())


def differing_layer(theirs: list[LayerWeights], ours: list[LayerWeights]) -> str:
    """Describe the first layer, in order, whose weights have other shapes; "" if there is none.

    Names are not compared: Keras numbers those that are not given.
    """
    for there, here in zip(theirs, ours):
        if there.shapes != here.shapes:
            return (
                f"layer {there.name} there has weights of {_format_shapes(there)}, "
                f"layer {here.name} here of {_format_shapes(here)}"
            )
    if len(theirs) != len(ours):
        return f"{len(theirs)} layers with weights there, {len(ours)} here"
    return ""


def _format_shapes(layer: LayerWeights) -> str:
    return ", ".join("x".join(map(str, shape)) or "1" for shape in layer.shapes)
