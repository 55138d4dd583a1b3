"""Make a rank's work repeatable, and give it its share of the machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from halftone.errors import InputError
from halftone.feed.world import World
from halftone.system import cores

# The state of a layer's generator of random numbers.
RandomStates = list[list[int]]


def configure_process(world: World, seed: int, precision: str) -> None:
    """Give this process its GPU or its share of the cores, and fix all that is random.

    Args:
        precision: the Keras policy that layers made from now on compute in.

    Raises:
        InputError: TensorFlow was used in this process before, as in a notebook.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        # Horovod: Spark may show a task one GPU only, which is then its first.
        own = gpus[world.local_rank] if len(gpus) >= world.local_size else gpus[0]
        tf.config.set_visible_devices(own, "GPU")
        tf.config.experimental.set_memory_growth(own, True)
    else:
        # To the bit on CPUs only: on GPUs it costs speed, and some layers cannot.
        tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores.num_threads(world.local_size))
    except RuntimeError:
        raise InputError(
            "TensorFlow is already at work in this process, and its threads are set; restart the "
            "notebook's kernel, or set train.launcher to horovodrun"
        ) from None
    tf.keras.utils.set_random_seed(seed)
    # Layers then draw from generators that can be set back at each epoch.
    tf.keras.backend.experimental.enable_tf_random_generator()
    tf.keras.mixed_precision.set_global_policy(precision)


def reseed(model: tf.keras.Model, seed_text: str) -> None:
    """Let all random layers of `model` draw what follows from `text`."""
    for number, generator in enumerate(_random_generators(model)):
        digest = hashlib.blake2b(f"{seed_text}:{number}".encode(), digest_size=8).digest()
        generator.reset_from_seed(int.from_bytes(digest, "big") >> 1)


def random_states(model: tf.keras.Model) -> RandomStates:
    """Where the random layers of `model` are in what they draw."""
    return [generator.state.numpy().tolist() for generator in _random_generators(model)]


def restore_random_states(model: tf.keras.Model, states: RandomStates) -> None:
    """Go on drawing where `states` was taken."""
    for generator, state in zip(_random_generators(model), states):
        generator.reset(state)


def _random_generators(model: tf.keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        random = getattr(layer, "_random_generator", None)
        if random is not None and random._generator is not None:
            yield random._generator
