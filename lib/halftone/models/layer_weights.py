"""The weights of a network by the layer that owns them, in the order of `get_weights`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf


class NamedShapes(Protocol):
    """A layer, in a network or in a file."""

    @property
    def name(self) -> str: ...

    @property
    def shapes(self) -> list[tuple[int, ...]]: ...


class LayerWeights(NamedTuple):
    """The weights of one layer."""

    name: str
    variables: list[tf.Variable]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(variable.shape) for variable in self.variables]


def nested_layers(layer: tf.keras.layers.Layer) -> list[tf.keras.layers.Layer]:
    """Return a layer and all layers inside it, such as those of a model that is part of a model.

    Keras has no public function for it that keeps their order.
    """
    return list(layer._flatten_layers())


def layers_with_weights(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """Return the layers that have weights of their own, in the order of `group_by_layer`."""
    owners = _layers_by_variable(model)
    layers = {id(owners[id(variable)]): owners[id(variable)] for variable in model.weights}
    return list(layers.values())


def frozen_variables(model: tf.keras.Model) -> list[tf.Variable]:
    """Return the weights of layers whose `trainable` is false: training changes none of them."""
    return [
        variable
        for layer in nested_layers(model)
        if not layer.trainable
        for variable in _own_variables(layer)
    ]


def _layers_by_variable(model: tf.keras.Model) -> dict[int, tf.keras.layers.Layer]:
    """Return the layer that has a variable, by the identity of the variable."""
    return {
        id(variable): layer for layer in nested_layers(model) for variable in _own_variables(layer)
    }


def _own_variables(layer: tf.keras.layers.Layer) -> list[tf.Variable]:
    """Return the weights of a layer without those of layers inside it."""
    return [*layer._trainable_weights, *layer._non_trainable_weights]


def group_by_layer(model: tf.keras.Model) -> list[LayerWeights]:
    """Return the layers that have weights, also those of models inside `model`.

    The last one is the output layer, if the model is functional.
    """
    owners = _layers_by_variable(model)
    groups: dict[int, LayerWeights] = {}
    for variable in model.weights:
        layer = owners[id(variable)]
        groups.setdefault(id(layer), LayerWeights(layer.name, [])).variables.append(variable)
    return list(groups.values())


def group_by_top_layer(model: tf.keras.Model) -> list[LayerWeights]:
    """Return the layers of `model`, each with all its weights, as in Keras' HDF5 files.

    Those that are trained come first, whether or not the layer is frozen.
    """
    groups = []
    for layer in model.layers:
        parts = nested_layers(layer)
        trained = [variable for part in parts for variable in part._trainable_weights]
        others = [variable for part in parts for variable in part._non_trainable_weights]
        groups.append(LayerWeights(layer.name, [*trained, *others]))
    return [group for group in groups if group.variables]


def assign_weights(
    model: tf.keras.Model, layers: Sequence[LayerWeights], values: Iterable[Iterable[Any]]
) -> None:
    """Set the weights of some layers of `model`.

    Args:
        values: for each of `layers` a value for each variable.
    """
    for layer, layer_values in zip(layers, values):
        for variable, value in zip(layer.variables, layer_values):
            variable.assign(value)
    finalize_layers(model)


def finalize_layers(model: tf.keras.Model) -> None:
    """Let layers compute what they derive from their weights, after these were assigned.

    Keras' Normalization does, and `set_weights` calls this, but an assignment does not.
    """
    for layer in nested_layers(model):
        layer.finalize_state()


def differing_layer(theirs: Sequence[NamedShapes], ours: Sequence[NamedShapes]) -> str:
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


def _format_shapes(layer: NamedShapes) -> str:
    return ", ".join("x".join(map(str, shape)) or "1" for shape in layer.shapes)
