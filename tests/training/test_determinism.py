"""TensorFlow's settings are a process's, so each case here has one of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

# {}: what a notebook's kernel may have done before.
PREPARE = """
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
    print("prepared")
"""


def said_by(code: str) -> str:
    asked = [sys.executable, "-c", code]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def test_a_process_that_has_used_tensorflow_is_refused() -> None:
    assert said_by(PREPARE.format("")) == "prepared\n"
    assert said_by(PREPARE.format("tf.constant(1) + 1")) == (
        "TensorFlow is already at work in this process, and its threads are set; restart the "
        "notebook's kernel, or set train.launcher to horovodrun\n"
    )


# What TensorFlow would say and be asked on a machine with {0} GPUs.
WITH_GPUS = """
import tensorflow as tf
from halftone.training import determinism
from halftone.feed.world import World
gpus = [f"GPU:{{number}}" for number in range({0})]
tf.config.list_physical_devices = lambda kind: gpus
tf.config.set_visible_devices = lambda own, kind: print("takes", own, "of the kind", kind)
tf.config.experimental.set_memory_growth = lambda own, grows: print(own, "grows", grows)
tf.config.experimental.enable_op_determinism = lambda: print("to the bit")
determinism.configure_process(World(rank=3, size=4, local_rank={1}, local_size={2}), 7, "float32")
"""


@pytest.mark.parametrize(
    ("num_gpus", "local_rank", "local_size", "said"),
    [
        (2, 0, 2, "takes GPU:0 of the kind GPU\nGPU:0 grows True\n"),
        (2, 1, 2, "takes GPU:1 of the kind GPU\nGPU:1 grows True\n"),
        # As Spark may have it: two ranks on a machine, each shown one GPU of its own.
        (1, 1, 2, "takes GPU:0 of the kind GPU\nGPU:0 grows True\n"),
        (0, 1, 2, "to the bit\n"),
    ],
)
def test_a_rank_takes_a_gpu_of_its_own(
    num_gpus: int, local_rank: int, local_size: int, said: str
) -> None:
    assert said_by(WITH_GPUS.format(num_gpus, local_rank, local_size)) == said
