"""Trainings in processes: one after the other in one process, or each in its own."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from halftone import model_directory, storage
from halftone.config import Config
from halftone.experiment.places import ProcessLauncher
from halftone.experiment.training_process import TrainingExit, TrainingProcess, process_kind
from halftone.training import checkpoint


def make_job(config: Config, dataset: Path, folder: Path) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json"),
        "dataset": str(dataset),
        "folder": str(folder),
        "identity": "a",
        "score": [],
        "slot": 0,
        "parallel": 1,
        "environment": {"HALFTONE_STUDY": "study"},
    }


def run(launcher: ProcessLauncher, job: Mapping[str, Any]) -> TrainingExit:
    Path(job["folder"]).mkdir(parents=True)
    training = launcher.launch(job, f"{job['folder']}/log")
    while True:
        training_exit = training.wait(1.0)
        if training_exit is not None:
            return training_exit


def idle_process(launcher: ProcessLauncher) -> TrainingProcess:
    (process,) = launcher._idle_processes.values()
    return process


def network_config(folder: Path) -> bytes:
    info = model_directory.read_model_info(str(folder / "model"))
    with zipfile.ZipFile(folder / "model" / info.network) as network:
        return network.read("config.json")


@pytest.mark.slow
def test_a_process_that_has_trained_before_gives_the_same_bits_as_a_new_one(
    config: Callable[..., Config], dataset: Path, tmp_path: Path
) -> None:
    shared = {"batch_size": 16, "epochs": 2}
    tracking = {"enabled": False}
    first = config(
        seed=3,
        tracking=tracking,
        train={
            **shared,
            "precision": "mixed_bfloat16",
            "optimizer": "sgd",
            "model": {"name": "mlp", "hidden": [8], "dropout": 0.5},
        },
    )
    second = config(
        seed=7,
        tracking=tracking,
        train={
            **shared,
            "augment": {"flip": "horizontal", "shift_fraction": 0.1},
            "model": {
                "name": "convnet", "filters": [4, 8], "dense": [8], "batch_norm": True,
                "conv_dropout": 0.2, "dense_dropout": 0.5,
            },
        },
    )  # fmt: skip
    diverging = config(tracking=tracking, train={**shared, "learning_rate": 1e30})
    with ProcessLauncher() as launcher:
        assert run(launcher, make_job(first, dataset, tmp_path / "first")) == (0, "")
        process = idle_process(launcher)
        assert run(launcher, make_job(second, dataset, tmp_path / "after")) == (0, "")
        assert idle_process(launcher) is process
        failed = run(launcher, make_job(diverging, dataset, tmp_path / "failed"))
        assert failed.exit_code == 1
        assert "epoch 1" in failed.message
        assert "not finite" in failed.message
        assert not launcher._idle_processes  # the next training gets a new process
        assert not process.is_reusable()
        assert run(launcher, make_job(second, dataset, tmp_path / "alone")) == (0, "")

    after, alone = (
        checkpoint.read_checkpoint(str(tmp_path / name / "model" / "checkpoints"), 2)
        for name in ("after", "alone")
    )
    assert len(after.weights) == len(alone.weights) > 10
    for one, other in zip([*after.weights, *after.optimizer], [*alone.weights, *alone.optimizer]):
        assert one.tobytes() == other.tobytes()
    assert network_config(tmp_path / "after") == network_config(tmp_path / "alone")
    results = [
        storage.read_json(str(tmp_path / name / "result.json")) for name in ("after", "alone")
    ]
    for key in ("parameters", "best_epoch", "train", "validation"):
        assert results[0][key] == results[1][key]
    logs = {name: (tmp_path / name / "log").read_text() for name in ("first", "after", "alone")}
    assert all(text.count("model: ") == 1 and "epoch 2/2" in text for text in logs.values())
    assert logs["first"].splitlines()[-1] == f"model: {tmp_path}/first/model"


def test_trainings_share_a_process_if_nothing_speaks_against_it(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    def kind(changes: Mapping[str, Any] = {}, **settings: Any) -> Any:
        return process_kind({**make_job(config(**settings), tmp_path, tmp_path), **changes})

    assert kind(seed=1, train={"epochs": 1}) == kind(seed=2, train={"precision": "mixed_float16"})
    assert kind() is not None
    assert kind({"slot": 1}) != kind()
    assert kind({"environment": {"HALFTONE_STUDY": "other"}}) != kind()
    assert kind(spark={"master": "local[1]"}) != kind()
    assert kind(storage={"options": {"s3": {"anon": True}}}) != kind()
    assert kind(train={"ranks": 2}) is None
    assert kind(train={"model": {"name": "custom", "build": "os:getcwd"}}) is None


def test_a_process_that_is_killed_is_reported_with_its_signal(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    with ProcessLauncher() as launcher:
        (tmp_path / "run").mkdir()
        job = make_job(config(), tmp_path / "no dataset", tmp_path / "run")
        training = launcher.launch(job, str(tmp_path / "run" / "log"))
        os.kill(training._process._process.pid, 9)  # type: ignore[attr-defined]
        assert training.wait(60.0) == (-9, "was killed by signal 9")
        assert not launcher._idle_processes
