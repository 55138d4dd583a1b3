"""Which GPU TensorFlow computes on in this process; before it has computed anything."""

from __future__ import annotations

import tensorflow as tf


def take_gpu(number: int = 0) -> bool:
    """Compute on one of the visible GPUs, with memory as it is needed; return whether there is one.

    Args:
        number: processes that share the GPUs have different ones, from 0.

    Raises:
        RuntimeError: TensorFlow has computed something already, with other GPUs.
    """
    gpus = tf.config.get_visible_devices("GPU")  # those that no program has hidden
    if not gpus:
        return False
    gpu = gpus[number % len(gpus)]
    tf.config.set_visible_devices(gpu, "GPU")
    tf.config.experimental.set_memory_growth(gpu, True)
    return True


def take_no_gpu() -> None:
    """Compute on the CPU.

    Raises:
        RuntimeError: TensorFlow has computed something already, and may use GPUs.
    """
    tf.config.set_visible_devices([], "GPU")
