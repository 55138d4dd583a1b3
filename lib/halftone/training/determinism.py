"""Make a rank's work reproducible, and give it its share of the machine."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from halftone.errors import InputError
from halftone.feed.world import World
from halftone.models import gpus, layer_weights
from halftone.system import cores

# The state of the random number generator of each random layer.
RandomStates = list[list[int]]


def configure_process(world: World, seed: int, precision: str) -> None:
    """Give this process its GPU or its share of the cores, and seed all random generators.

    Args:
        precision: name of the Keras mixed precision policy for layers created from now on.

    Raises:
        InputError: TensorFlow was used in this process before, as in a notebook.
    """
    # Spark may make only one GPU visible to a rank; it is then the first, whatever the rank.
    if not gpus.take_gpu(world.local_rank):
        # Bitwise reproducible on CPUs only: on GPUs it is slow, and some layers do not support it.
        tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores.num_threads(world.local_size))
    except RuntimeError:
        raise InputError(
            "TensorFlow is already at work in this process, and its threads are set; restart the "
            "notebook's kernel, or set train.launcher to horovodrun"
        ) from None
    tf.keras.utils.set_random_seed(seed)
    # Makes layers use generators that `reseed` can reset at each epoch.
    tf.keras.backend.experimental.enable_tf_random_generator()
    tf.keras.mixed_precision.set_global_policy(precision)


def uses_gpu() -> bool:
    """Return whether this process computes on a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def forget_models() -> None:
    """Free the networks of earlier trainings of this process, and name layers as in a new one."""
    tf.keras.backend.clear_session()
    gc.collect()  # models and their functions refer to each other


def reseed(model: tf.keras.Model, seed_text: str) -> None:
    """Reset the generators of all random layers of `model` to states derived from `seed_text`."""
    for number, generator in enumerate(_random_generators(model)):
        digest = hashlib.blake2b(f"{seed_text}:{number}".encode(), digest_size=8).digest()
        generator.reset_from_seed(int.from_bytes(digest, "big") >> 1)


def random_states(model: tf.keras.Model) -> RandomStates:
    """Return the states of the generators of all random layers of `model`."""
    return [generator.state.numpy().tolist() for generator in _random_generators(model)]


def restore_random_states(model: tf.keras.Model, states: RandomStates) -> None:
    """Set the generators of all random layers of `model` to the states of `random_states`."""
    for generator, state in zip(_random_generators(model), states):
        generator.reset(state)


def _random_generators(model: tf.keras.Model) -> Iterator[Any]:
    # With the layers of a model that is part of this one.
    for layer in layer_weights.nested_layers(model):
        keras_generator = getattr(layer, "_random_generator", None)
        if keras_generator is not None and keras_generator._generator is not None:
            yield keras_generator._generator
