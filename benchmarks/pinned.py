"""Run jobs/train.py on given cores, and read its images/s."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import contestants
import measure
import synthetic
from synthetic import Shape

_JOB = Path(__file__).resolve().parent.parent / "jobs" / "train.py"

WAYS = {
    "ranks": "2 ranks (train.ranks=2), one core each",
    "limit": "two trainings of 1 rank at the same time, pinned to one core each; their sum",
    "alone": "1 rank, pinned to a core; the other core is idle",
}


class Network(NamedTuple):
    name: str
    description: str  # for the table's legend
    model: Mapping[str, Any]  # settings of train.model
    shape: Shape  # of an image
    rank_rows: int  # rows per epoch and rank
    train: Mapping[str, Any] = {}  # other settings of train


class Settings(NamedTuple):
    """Settings of all runs."""

    rank_batch: int  # rows per step and rank
    epochs: int
    timeout_secs: float


class TrainingError(Exception):
    """A training failed; its log has the reason."""


def find_two_cores() -> list[int]:
    """Return two cores that this process may use.

    Raises:
        SystemExit: there are fewer, or this is not Linux.
    """
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        raise SystemExit("error: this needs Linux and its taskset, to pin trainings to cores")
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("error: this needs 2 cores, but this process may use only 1")
    return cores


class Trainings:
    """Trainings of one network: a dataset for 1 rank, and one of twice as many rows for 2 ranks."""

    def __init__(
        self, network: Network, settings: Settings, cores: list[int], folder: Path
    ) -> None:
        self.network = network
        self._settings, self._cores = settings, cores
        self._folder = folder / network.name
        self._folder.mkdir()
        self._logs = folder
        train = {**network.train, "model": dict(network.model), "epochs": settings.epochs}
        config = {"name": network.name, "tracking": {"enabled": False}, "train": train}
        self._config = self._folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(config), encoding="utf-8")
        for ranks in (1, 2):
            synthetic.write_dataset(
                self._dataset_folder(ranks), ranks * network.rank_rows, network.shape
            )

    def run(self, way: str) -> tuple[float, list[list[float]]]:
        """Train in one of WAYS.

        Returns:
            Images/s of all ranks together, and for each training those of every epoch except the
            first.

        Raises:
            TrainingError: a training failed or timed out.
        """
        if way == "ranks":
            epoch_rates = [self._train("both", 2, self._cores)]
        elif way == "alone":
            epoch_rates = [self._train("alone", 1, self._cores[:1])]
        else:
            with ThreadPoolExecutor() as pool:
                futures = [pool.submit(self._train, f"core-{n}", 1, [n]) for n in self._cores]
                epoch_rates = [future.result() for future in futures]
        return sum(map(statistics.median, epoch_rates)), epoch_rates

    def _train(self, name: str, ranks: int, cores: list[int]) -> list[float]:
        output = self._folder / f"model-{name}"
        log = self._logs / f"{self.network.name}-{name}.log"
        # fmt: off
        command = [
            "taskset", "--cpu-list", ",".join(map(str, cores)),
            sys.executable, str(_JOB), "--config", str(self._config),
            "--dataset", str(self._dataset_folder(ranks)), "--output", str(output),
            "--set", f"train.ranks={ranks}",
            "--set", f"train.batch_size={ranks * self._settings.rank_batch}",
        ]
        # fmt: on
        environment = contestants.environment()
        run = measure.run(command, log, environment, self._settings.timeout_secs)
        if run.exit_code is None:
            raise TrainingError(f"timed out after {run.secs:.0f} s")
        if run.exit_code != 0:
            raise TrainingError(f"exit code {run.exit_code}")
        log.unlink()
        history = json.loads((output / "history.json").read_text(encoding="utf-8"))
        shutil.rmtree(output)
        return [epoch["images_per_sec"] for epoch in history["epochs"][1:]]

    def _dataset_folder(self, ranks: int) -> Path:
        return self._folder / f"dataset-{ranks}"
