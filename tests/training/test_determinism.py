"""TensorFlow is configured once per process, so each case runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys

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
