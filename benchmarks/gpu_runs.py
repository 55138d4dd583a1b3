"""The trainings of gpu.py: measured ones, one to compare with the CPU's, one that is killed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psutil
import yaml

import contestants
import measure
import synthetic
from gpu_cards import Observation, Watcher, find_ranks
from gpu_checks import RankRecord
from halftone.config import PixelSpec

_HERE = Path(__file__).resolve().parent
_CPU_ONLY = {"CUDA_VISIBLE_DEVICES": "-1"}
# Other float32 than IEEE's: with 10 bits of mantissa, convolutions of Ampere and later cards round
# to 1e-3 by themselves.
_NO_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}
_POLL_SECS = 0.01
_END_SECS = 60.0


class TrainingError(Exception):
    """A training failed; the message ends with the last line of its log."""


class Training(NamedTuple):
    """The files of a training, and what was seen of it."""

    epochs: list[dict[str, Any]]  # of history.json
    records: list[RankRecord]
    observation: Observation


class Job(NamedTuple):
    """A training to run."""

    name: str
    model: Mapping[str, Any]  # settings of train.model
    dataset: Path
    train: Mapping[str, Any]  # other settings of train
    rounds: int = 0  # of alternating feeds; 0: Halftone's own feed
    on_cpu: bool = False
    is_compared: bool = False  # without TF32


def write_rows(folder: Path, count: int, side_px: int) -> None:
    """Write a dataset of noise, of two classes that differ in brightness."""
    pixels = PixelSpec(height_px=side_px, width_px=side_px, channels=3)

    def draw(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        noise = np.random.default_rng(int(rows[0])).integers(
            0, 236, (len(rows), *pixels.shape), np.uint8
        )
        return noise + (20 * (rows % 2)).astype(np.uint8)[:, None, None, None]

    synthetic.write_images(folder, count, pixels, draw)


def train(job: Job, folder: Path, timeout_secs: float) -> Training:
    """Run a training to its end, in new files below `folder`.

    Raises:
        TrainingError: it failed, or took too long.
    """
    output, records = folder / job.name, folder / f"{job.name}-records"
    records.mkdir()
    environment = {
        "GPU_BENCHMARK_ROUNDS": str(job.rounds),
        "GPU_BENCHMARK_RECORDS": str(records),
    }
    command = _command("gpu_train.py", job, folder)
    with _started(job, folder, command, environment) as process:
        watcher = Watcher(process.pid)
        try:
            code = process.wait(timeout_secs)
        except subprocess.TimeoutExpired:
            raise TrainingError(f"timed out after {timeout_secs:.0f} s") from None
        finally:
            observation = watcher.stop()
    if code != 0:
        raise TrainingError(f"exit code {code}: {_last_line(folder, job)}")
    _log(folder, job).unlink()
    paths = sorted(records.glob("rank-*.json"))
    return Training(
        read_epochs(output),
        [RankRecord(**json.loads(path.read_text())) for path in paths],
        observation,
    )


def kill_and_resume(
    job: Job, folder: Path, timeout_secs: float
) -> tuple[list[dict[str, Any]], str]:
    """Kill the driver of a training after its first checkpoint, and run the same command again.

    Returns:
        The history of the resumed training, and from where it resumed, such as `after epoch 1`.

    Raises:
        TrainingError: it ended before the kill, left a rank, failed or did not resume.
    """
    command = _command("../jobs/train.py", job, folder)
    with _started(job, folder, command, {}) as process:
        _wait_for_checkpoint(folder / job.name / "checkpoints", process, timeout_secs)
        ranks = [psutil.Process(pid) for pid in find_ranks(psutil.Process(process.pid))]
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(ranks, _END_SECS)
        if not ranks or alive:
            raise TrainingError(f"of {len(ranks)} ranks, {len(alive)} ran on after the kill")
    with _started(job, folder, command, {}) as process:
        try:
            code = process.wait(timeout_secs)
        except subprocess.TimeoutExpired:
            raise TrainingError(f"the second run timed out after {timeout_secs:.0f} s") from None
    if code != 0:
        raise TrainingError(f"second run: exit code {code}: {_last_line(folder, job)}")
    lines = _log(folder, job).read_text(encoding="utf-8", errors="replace").splitlines()
    places = [line.partition("resuming ")[2] for line in lines if "resuming after" in line]
    if not places:
        raise TrainingError("the second run did not resume")
    _log(folder, job).unlink()
    return read_epochs(folder / job.name), places[0].partition(",")[0]


def read_epochs(output: Path) -> list[dict[str, Any]]:
    content = json.loads((output / "history.json").read_text(encoding="utf-8"))
    return list(content["epochs"])


def _command(script: str, job: Job, folder: Path) -> list[str]:
    config = folder / f"{job.name}.yaml"
    # As a process of its own also for 1 rank: the driver must take no card.
    train = {**job.train, "model": dict(job.model), "launcher": "horovodrun"}
    settings = {"name": "gpu", "tracking": {"enabled": False}, "train": train}
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, str((_HERE / script).resolve()), "--config", str(config)]
    return [*command, "--dataset", str(job.dataset), "--output", str(folder / job.name)]


@contextlib.contextmanager
def _started(
    job: Job, folder: Path, command: list[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a training, and kill what is left of it at the end."""
    with open(_log(folder, job), "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **contestants.environment(),
                # The order of nvidia-smi, in which TensorFlow's numbers are.
                "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
                **(_CPU_ONLY if job.on_cpu else {}),
                **(_NO_TF32 if job.is_compared else {}),
                **environment,
            },
            start_new_session=True,
        )
        try:
            yield process
        finally:
            measure.kill_group(process)  # ranks end with their driver


def _wait_for_checkpoint(
    folder: Path, process: subprocess.Popen[bytes], timeout_secs: float
) -> None:
    end = time.monotonic() + timeout_secs
    while not list(folder.glob("epoch-*.npz")):
        if process.poll() is not None:
            raise TrainingError(f"it ended with exit code {process.returncode} before the kill")
        if time.monotonic() > end:
            raise TrainingError(f"no checkpoint in {timeout_secs:.0f} s")
        time.sleep(_POLL_SECS)
    if process.poll() is not None:
        raise TrainingError("it ended before it could be killed")


def _log(folder: Path, job: Job) -> Path:
    return folder / f"{job.name}.log"


def _last_line(folder: Path, job: Job) -> str:
    lines = _log(folder, job).read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "no output")
