"""The process that measures an export: python -m halftone.export.latency_process REQUEST.

It is pinned to one core before a runtime starts its threads, which inherit that.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np
import tensorflow as tf

from halftone.export.exported_network import Pixels, Predict
from halftone.export.formats import load_predictor
from halftone.export.latency import Latency, LatencyReport, LatencyRequest
from halftone.system import cores

_WARM_UP_RUNS = 2
_MIN_RUNS, _MAX_RUNS = 5, 100
_SECS = 2.0  # for a batch size, unless the fewest runs take longer


def measure(predict: Predict, pixels: Pixels) -> Latency:
    """Return the median time of predictions of `pixels`."""
    for _ in range(_WARM_UP_RUNS):
        predict(pixels)
    times_secs: list[float] = []
    started = time.perf_counter()
    while len(times_secs) < _MIN_RUNS or (
        len(times_secs) < _MAX_RUNS and time.perf_counter() - started < _SECS
    ):
        before = time.perf_counter()
        predict(pixels)
        times_secs.append(time.perf_counter() - before)
    median_ms = 1000 * statistics.median(times_secs)
    return Latency(len(pixels), round(median_ms, 3), len(times_secs))


def main(text: str) -> None:
    request = LatencyRequest(**json.loads(text))
    is_pinned = cores.pin_to_one_core()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    predict = load_predictor(request.format, request.folder, num_threads=1)
    rng = np.random.default_rng(0)
    latencies = [
        measure(predict, rng.integers(0, 256, (size, *request.shape), np.uint8))
        for size in request.batch_sizes
    ]
    print(json.dumps(LatencyReport(is_pinned, latencies)._asdict()))


if __name__ == "__main__":
    main(sys.argv[1])
