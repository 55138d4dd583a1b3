"""The process of a rank for gpu.py: halftone.launch.rank, with a record of its card at the end.

The environment variable GPU_BENCHMARK_RECORDS names the folder of the records. If
GPU_BENCHMARK_ROUNDS is not 0, the feeds of gpu_feeds take turns.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.launch import rank

_train_in_process = rank.train_in_process


def train_and_record(config: Config, manifest: Manifest, dataset: str, output: str) -> None:
    """Train as `rank.train_in_process` does, and write the record of this rank."""
    rank.set_default_environment()  # before the first import of TensorFlow
    rounds = int(os.environ["GPU_BENCHMARK_ROUNDS"])
    if rounds:
        from gpu_feeds import AlternatingFeed
        from halftone.training import fit

        replaced: Any = fit
        replaced.RankFeed = partial(AlternatingFeed, rounds=rounds)
    _train_in_process(config, manifest, dataset, output)
    record = describe_rank()
    path = Path(os.environ["GPU_BENCHMARK_RECORDS"]) / f"rank-{record['rank']}.json"
    path.write_text(json.dumps(record), encoding="utf-8")


def describe_rank() -> dict[str, Any]:
    """Return this rank's number and process, its cards, and the most that its tensors took."""
    import tensorflow as tf

    cards = [int(device.name.rpartition(":")[2]) for device in tf.config.get_visible_devices("GPU")]
    peaks_bytes = [
        tf.config.experimental.get_memory_info(device.name.replace("/device:", ""))["peak"]
        for device in tf.config.list_logical_devices("GPU")
    ]
    return {
        "rank": int(os.environ["HOROVOD_RANK"]),
        "pid": os.getpid(),
        "cards": cards,  # numbers of TensorFlow, in the order of the PCI bus
        "peak_bytes": sum(peaks_bytes),
    }


if __name__ == "__main__":
    patched: Any = rank
    patched.train_in_process = train_and_record
    sys.exit(rank.main())
