"""Small networks with every kind of layer that the families build, to export."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from halftone import models
from halftone.config import config_from_mapping
from halftone.export.exported_network import ExportedNetwork

LABELS = ["a", "b", "c"]
_STATISTICS = ([100.0, 110.0, 120.0], [50.0, 60.0, 70.0])

# Settings of train.
WHITENED = {
    "model": {
        "name": "convnet", "filters": [8, 16], "whitening_px": 2, "activation": "gelu",
        "global_max": True, "output_scale": 0.5, "dense": [], "pool_before_activation": True,
        "batch_norm": True, "batch_norm_before_activation": True, "conv_bias": False,
    },
}  # fmt: skip
ODD_SIDES = {
    "model": {
        "name": "convnet", "activation": ["leaky_relu", "relu", "gelu"], "pool_padding": "same",
        "filters": [8, 8], "strides_px": [2, 1], "dense": [16], "pooling": "average",
    },
    "normalise": "standard",
}  # fmt: skip
MLP = {"model": {"name": "mlp", "hidden": [20]}, "input_px": [13, 20]}
POST = {
    "model": {
        "name": "residual", "blocks": 1, "filters": [4, 8], "strides_px": [1, 2],
        "stem_filters": 4, "stem_pooling": True, "stem_stride_px": 2,
    },
}  # fmt: skip
BOTTLENECK = {
    "model": {
        "name": "residual", "blocks": 1, "filters": [4, 8], "strides_px": [1, 2],
        "stem_filters": 4, "activation_order": "pre", "bottleneck": True,
        "shortcut": "pad",
    },
}  # fmt: skip
BEFORE_ADDITION = {
    "model": {
        "name": "residual", "blocks": 1, "filters": [4, 8], "strides_px": [1, 2],
        "stem_filters": 4, "activation_order": "before_addition",
        "stage_start": "convolution", "global_pooling": "max",
    },
    "input_px": 16,
}  # fmt: skip
_CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int], int]] = {
    "whitened": (WHITENED, (32, 32, 3), 3),
    "odd_sides": (ODD_SIDES, (30, 27, 1), 2),
    "mlp": (MLP, (32, 32, 3), 2),
    "post": (POST, (32, 32, 3), 3),
    "bottleneck": (BOTTLENECK, (32, 32, 3), 3),
    "before_addition": (BEFORE_ADDITION, (32, 32, 3), 3),
}
NAMES = sorted(_CASES)


def application(architecture: str) -> ExportedNetwork:
    """A network of keras.applications with the weights that a training starts from."""
    settings = {"model": {"name": "application", "architecture": architecture}}
    return _build(settings, (32, 32, 3), 3)


@cache
def exported_network(name: str) -> ExportedNetwork:
    """One of NAMES, with weights that tell images apart and that no two layers share."""
    exported = _build(*_CASES[name])
    rng = np.random.default_rng(1)
    network = exported.network
    network.set_weights([_draw(rng, weight) for weight in network.weights])
    _spread_output(exported)
    return exported


def images(shape: tuple[int, int, int], count: int = 16) -> np.ndarray:
    """Images whose brightness and contrast differ, (count, H, W, C) uint8."""
    rng = np.random.default_rng(0)
    means = rng.uniform(30, 220, (count, 1, 1, shape[2]))
    noise = rng.normal(0, 1, (count, *shape)) * rng.uniform(5, 60, (count, 1, 1, 1))
    return np.clip(means + noise, 0, 255).astype(np.uint8)


def _build(settings: dict[str, Any], shape: tuple[int, int, int], classes: int) -> ExportedNetwork:
    train = config_from_mapping({"train": settings}, "test").train
    channels = shape[2]
    tf.keras.utils.set_random_seed(1)
    network = models.build_model(
        train.model.model_dump(),
        shape,
        classes,
        train.normalise,
        statistics=(_STATISTICS[0][:channels], _STATISTICS[1][:channels]),
        input_size=train.input_size(shape),
    )
    return ExportedNetwork(network, LABELS[:classes], shape)


def _draw(rng: np.random.Generator, weight: Any) -> np.ndarray:
    name, value = weight.name, weight.numpy()
    if "variance" in name:
        return rng.uniform(0.5, 2, value.shape)
    if "gamma" in name:
        return rng.uniform(0.5, 1.5, value.shape)
    if "mean" in name or "beta" in name or "bias" in name:
        return rng.normal(0, 0.2, value.shape)
    return value


def _spread_output(exported: ExportedNetwork) -> None:
    """Scale the output layer so that the images get probabilities from near 0 to near 1."""
    pixels = images(exported.shape)
    output = exported.network.layers[-1]
    kernel, bias = output.get_weights()
    output.set_weights([kernel, 0 * bias])
    logits = np.log(np.maximum(exported.predict()(pixels), 1e-30))
    contrasts = logits[:, :1] - logits[:, 1:]
    kernel *= 2 / max(contrasts.std(axis=0).max(), 1e-6)
    output.set_weights([kernel, 0 * bias])
    logits = np.log(exported.predict()(pixels)).mean(axis=0)
    centre = logits[0] - logits if len(logits) > 2 else logits[:1] - logits[1:]
    output.set_weights([kernel, np.asarray(centre, np.float32)])
