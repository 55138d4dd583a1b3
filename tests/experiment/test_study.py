from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import psutil
import pytest
import yaml

from conftest import DrawImages
from halftone.config import Config
from halftone.errors import InputError
from halftone.experiment import run_job, study
from halftone.experiment.planning import Trial
from training_jobs import finish, wait_for

JOB = str(Path(__file__).parents[2] / "jobs" / "experiment.py")


BAD = {"name": "bad", "set": {"train.learning_rate": 1e30}}
GOOD = {"name": "good", "paper": {"accuracy": 0.5}}


@pytest.fixture
def job(tmp_path: Path, draw_images: DrawImages) -> Callable[..., subprocess.Popen[str]]:
    """Start the job with two runs, of which the first fails, on 60 images with a tiny network."""
    experiment: dict[str, Any] = {
        "name": "stripes",
        "parallel": 2,
        "base": {
            "seed": 7,
            "paths": {"images": str(draw_images(each=40))},
            "pixels": {"height_px": 16, "width_px": 16},
            "splits": {"validation_fraction": 0.25, "test_fraction": 0.25},
            "tracking": {"enabled": False},
            "train": {
                "epochs": 9,
                "batch_size": 16,
                "optimizer": "sgd",
                "model": {"name": "convnet", "filters": [4], "dense": [8]},
            },
        },
        "runs": [BAD, GOOD],
    }

    def start(**changes: Any) -> subprocess.Popen[str]:
        path = tmp_path / "table.yaml"
        path.write_text(yaml.safe_dump({**experiment, **changes}))
        command = [sys.executable, JOB, "--config", str(path), "--output", str(tmp_path / "out")]
        command += ["--epochs", "2", "--subset", "60"]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
        )

    return start


@pytest.mark.slow
def test_a_killed_study_resumes_and_a_failed_run_stops_no_other(
    job: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killed = job()
    wait_for(out / "runs" / "good" / "model" / "model.json", killed)
    trials = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    finish(killed, -9)
    assert trials
    _, alive = psutil.wait_procs(trials, timeout=60)
    assert not alive  # no run outlives its study
    result = out / "runs" / "good" / "result.json"
    assert not result.exists()

    lines = finish(job(), 1).splitlines()

    error = (
        "epoch 1, step 2: the training loss is not finite; no checkpoint yet. Lower "
        "train.learning_rate (it is 1e+30), or set train.clip_norm"
    )
    assert lines[-2:] == [
        "failed: 1 of 2 runs; correct what they say, then run the same command again: the others "
        "are kept",
        f"  bad: {error}; its log is {out}/runs/bad/log",
    ]
    done = f"nothing to do: the training at {out}/runs/good/model is finished"
    assert (out / "runs" / "good" / "log").read_text().startswith(done + "\n")
    assert f"bad: failed: {error}" in (out / "table.md").read_text()
    assert (out / "runs" / "bad" / "log").read_text().splitlines()[-1] == error
    assert "shrunk by --epochs 2, --subset 60: not comparable with a paper's figures" in lines
    rows = {row["run"]: row for row in csv.DictReader((out / "table.csv").open())}
    # 1->4: 40, 7*7*4 = 196 -> 8: 1,576, 8 -> 1: 9
    assert {name: row["parameters"] for name, row in rows.items()} == {"bad": "", "good": "1625"}
    stored = json.loads(result.read_text())
    scores = json.loads((out / "runs" / "good" / "scores" / "metrics.json").read_text())
    history = json.loads((out / "runs" / "good" / "model" / "history.json").read_text())
    best = history["epochs"][history["best_epoch"] - 1]
    assert stored["epochs"] == len(history["epochs"]) == 2
    assert float(rows["good"]["test accuracy"]) == scores["accuracy"]
    assert float(rows["good"]["accuracy - paper"]) == scores["accuracy"] - 0.5
    assert float(rows["good"]["validation loss"]) == best["val_loss"]
    assert float(rows["good"]["train loss"]) == best["loss"]
    assert len(list((out / "datasets").iterdir())) == 1
    manifest = json.loads(next((out / "datasets").glob("*/manifest.json")).read_text())
    assert manifest["inputs"] == 60

    mtime_ns = result.stat().st_mtime_ns
    lines = finish(job(runs=[GOOD])).splitlines()
    assert "good: already finished, skipped" in lines
    assert result.stat().st_mtime_ns == mtime_ns


def test_a_run_with_other_settings_is_not_overwritten(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    settings = run_job.result_settings(config(train={"epochs": 20}))
    del settings["train"]["clip_norm"]  # as written by a version without this setting
    (folder / "settings.json").write_text(json.dumps(settings))
    # The name and the tracking settings may change.
    same = config(name="b", train={"epochs": 20}, tracking={"enabled": False})
    study.check_run_folders([Trial("one", same)], str(tmp_path))
    with pytest.raises(InputError) as caught:
        study.check_run_folders([Trial("one", config(train={"epochs": 2}))], str(tmp_path))
    assert str(caught.value) == (
        f"{folder}: belongs to a run with other settings and is not overwritten: "
        "train.epochs was 20, is now 2. Use another --output, or remove it"
    )


def test_a_mistake_ends_with_exit_code_2_before_anything_runs(
    job: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    output = finish(job(runs=[{"name": "one", "set": {"train.epoch": 3}}]), 2)
    assert output.startswith(f"error: {tmp_path}/table.yaml: run one: 1 mistake\n  train.epoch: ")
    assert not (tmp_path / "out").exists()
