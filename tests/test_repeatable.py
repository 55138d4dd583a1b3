"""TensorFlow's settings are a process's, so each case here has one of its own."""

from __future__ import annotations

import subprocess
import sys

# {}: what a notebook's kernel may have done before.
PREPARE = """
import tensorflow as tf
from halftone import repeatable
from halftone.errors import InputError
from halftone.world import World
{}
try:
    repeatable.prepare(World(rank=0, size=1, local_rank=0, local_size=1), 7, "float32")
except InputError as error:
    print(error)
else:
    print("prepared")
"""


def said_after(code: str) -> str:
    asked = [sys.executable, "-c", PREPARE.format(code)]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def test_a_process_that_has_used_tensorflow_is_refused() -> None:
    assert said_after("") == "prepared\n"
    assert said_after("tf.constant(1) + 1") == (
        "TensorFlow is already at work in this process, and its threads are set; restart the "
        "notebook's kernel, or set train.launcher to horovodrun\n"
    )
