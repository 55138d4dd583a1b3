"""Measure how long a prediction takes on one core, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from halftone.errors import RunError

BATCH_SIZES = (1, 32)


class Latency(NamedTuple):
    """The time of a prediction of one batch."""

    batch_size: int
    median_ms: float
    runs: int  # measured ones, after some that were not


class LatencyRequest(NamedTuple):
    """What the process gets as JSON."""

    format: str
    folder: str  # with the files of the export
    shape: tuple[int, int, int]
    batch_sizes: Sequence[int]


class LatencyReport(NamedTuple):
    """What the process prints as JSON, in its last line."""

    is_pinned: bool  # to one core; otherwise it has one thread, on any core
    latencies: list[Latency]


def measure_latency(export_format: str, folder: str, shape: tuple[int, int, int]) -> LatencyReport:
    """Measure an export in `folder`, a local path, on batches of random pixels.

    Raises:
        RunError: the process ended with an error.
    """
    request = LatencyRequest(export_format, folder, shape, BATCH_SIZES)
    environment = {
        **os.environ,
        # As this process may have it from spark-submit.
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    completed = subprocess.run(
        [sys.executable, "-m", "halftone.export.latency_process", json.dumps(request._asdict())],
        capture_output=True,
        text=True,
        env=environment,
    )
    if completed.returncode:
        last_line = (completed.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(
            f"the latency could not be measured: the process ended with exit code "
            f"{completed.returncode}: {last_line}"
        )
    report = json.loads(completed.stdout.strip().splitlines()[-1])
    return LatencyReport(report["is_pinned"], [Latency(*row) for row in report["latencies"]])
