"""The measuring process, and how its failure is reported."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from exported_networks import exported_network
from halftone.errors import RunError
from halftone.export import latency, latency_process, tflite_file


def test_the_median_of_several_runs_after_some_that_do_not_count() -> None:
    calls: list[float] = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        calls.append(0.2 if len(calls) < 2 else 0.004)
        time.sleep(calls[-1])
        return pixels

    measured = latency_process.measure(predict, np.zeros((3, 1, 1, 1), np.uint8))
    assert measured.batch_size == 3
    assert measured.runs == len(calls) - 2 == 100
    assert 4 <= measured.median_ms < 40


@pytest.mark.slow
def test_a_process_on_one_core_measures_an_export(tmp_path: Path) -> None:
    exported = exported_network("mlp")
    tflite_file.write_model(exported, str(tmp_path))
    report = latency.measure_latency("tflite", str(tmp_path), exported.shape)
    assert report.is_pinned is hasattr(os, "sched_setaffinity")
    assert [measured.batch_size for measured in report.latencies] == [1, 32]
    for measured in report.latencies:
        assert measured.median_ms > 0
        assert measured.runs >= 5


@pytest.mark.slow
def test_an_export_that_does_not_open_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        latency.measure_latency("tflite", str(tmp_path), (2, 2, 1))
    assert str(caught.value).startswith(
        "the latency could not be measured: the process ended with exit code 1: ValueError: "
    )
