"""TensorFlow is configured once per process, so each case runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

# {}: code that a notebook may have run before.
CONFIGURE = """
import tensorflow as tf
from halftone.training import determinism
from halftone.errors import InputError
from halftone.feed.world import World
{}
try:
    determinism.configure_process(World(rank=0, size=1, local_rank=0, local_size=1), 7, "float32")
except InputError as error:
    print(error)
else:
    print("configured")
"""


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_process_that_has_used_tensorflow_is_refused() -> None:
    assert run_python(CONFIGURE.format("")) == "configured\n"
    assert run_python(CONFIGURE.format("tf.constant(1) + 1")) == (
        "TensorFlow is already at work in this process, and its threads are set; restart the "
        "notebook's kernel, or set train.launcher to horovodrun\n"
    )


# Replaces the functions of TensorFlow as on a machine with {0} GPUs, and prints their calls.
WITH_GPUS = """
import tensorflow as tf
from halftone.training import determinism
from halftone.feed.world import World
gpus = [f"GPU:{{number}}" for number in range({0})]
tf.config.list_physical_devices = lambda kind: gpus
tf.config.set_visible_devices = lambda gpu, kind: print("takes", gpu, "of the kind", kind)
tf.config.experimental.set_memory_growth = lambda gpu, grows: print(gpu, "grows", grows)
tf.config.experimental.enable_op_determinism = lambda: print("deterministic")
determinism.configure_process(World(rank=3, size=4, local_rank={1}, local_size={2}), 7, "float32")
"""


@pytest.mark.parametrize(
    ("num_gpus", "local_rank", "local_size", "calls"),
    [
        (2, 0, 2, "takes GPU:0 of the kind GPU\nGPU:0 grows True\n"),
        (2, 1, 2, "takes GPU:1 of the kind GPU\nGPU:1 grows True\n"),
        # Under Spark: two ranks on a machine, each sees only its own GPU.
        (1, 1, 2, "takes GPU:0 of the kind GPU\nGPU:0 grows True\n"),
        (0, 1, 2, "deterministic\n"),
    ],
)
def test_each_rank_takes_a_gpu_of_its_own(
    num_gpus: int, local_rank: int, local_size: int, calls: str
) -> None:
    assert run_python(WITH_GPUS.format(num_gpus, local_rank, local_size)) == calls
