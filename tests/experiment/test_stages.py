"""Whole experiments as a user starts them: stages, searches, folds, and the papers' own files."""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import yaml
from mlflow import MlflowClient

from conftest import DrawImages
from halftone.config import config_from_mapping
from halftone.errors import InputError
from halftone.experiment import command
from halftone.sample.generate import generate_sample
from training_jobs import finish, wait_for

ROOT = Path(__file__).parents[2]
JOB = str(ROOT / "jobs" / "experiment.py")
EXPERIMENTS = ROOT / "conf" / "experiments"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_(asked: dict[str, Any], *flags: str) -> subprocess.Popen[str]:
        path = tmp_path / "table.yaml"
        path.write_text(yaml.safe_dump(asked))
        command = [sys.executable, JOB, "--config", str(path), "--output", str(tmp_path / "out")]
        process = subprocess.Popen(
            [*command, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start_
    for process in started:
        process.kill()  # where a test has failed; its runs end with it
        process.wait()


def stripes(images: Path, **settings: Any) -> dict[str, Any]:
    """What all runs have in common: a tiny network for images of stripes."""
    return {
        "seed": 7,
        "paths": {"images": str(images)},
        "pixels": {"height_px": 16, "width_px": 16},
        "splits": {"validation_fraction": 0.25, "test_fraction": 0.25},
        "train": {
            "epochs": 2,
            "batch_size": 16,
            "optimizer": "sgd",
            "momentum": 0.9,
            "model": {"name": "convnet", "filters": [4], "dense": [8]},
        },
        **settings,
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.slow
def test_a_killed_search_goes_on_prunes_and_hands_its_best_to_the_next_stage(
    start: Start, tmp_path: Path, draw_images: DrawImages
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    rates = [0.05, 0.04, 0.06, 1e-7, 1e30]
    base = stripes(draw_images(each=40), tracking={"uri": uri})
    # The fourth would take minutes, were it not pruned. One at a time: it begins when there are
    # three to compare it with.
    choices = [
        {**base["train"], "learning_rate": rate, "epochs": 5000 if rate == 1e-7 else 10}
        for rate in rates
    ]
    asked = {
        "name": "stripes",
        "base": base,
        "stages": [
            {
                "name": "search",
                "search": {
                    "sampler": "grid",
                    "trials": 5,
                    "prune": True,
                    "space": {"train": choices},
                },
            },
            {
                "name": "final",
                "best_of": "search",
                "set": {"splits.validation_fraction": 0.0, "train.epochs": 3},
                "runs": [{"name": "both", "paper": {"mistakes": 4}}],
            },
        ],
    }
    runs = tmp_path / "out" / "runs"
    killed = start(asked)
    for sign in ("settings.json", "model/model.json", "result.json"):
        wait_for(runs / "search" / "trial-001" / sign, killed)
    killed.kill()
    finish(killed, -9)
    first = runs / "search" / "trial-001" / "result.json"
    written = first.stat().st_mtime_ns
    parent = read(tmp_path / "out" / "mlflow.json")["run_id"]

    said = finish(start(asked), 1).splitlines()

    assert "search.trial-001: finished before, and kept" in said
    (rows,) = (line for line in said if line.startswith("final: rows: "))
    assert first.stat().st_mtime_ns == written
    proposed = [
        read(folder / "proposal.json")["proposed"]["train"]
        for folder in sorted((runs / "search").iterdir())
    ]
    assert proposed == choices
    results = [read(runs / "search" / f"trial-00{n}" / "result.json") for n in (1, 2, 3, 4)]
    assert [one["state"] for one in results] == [*["finished"] * 3, "pruned"]
    assert [one["epochs"] for one in results[:3]] == [10] * 3
    assert 1 < results[3]["epochs"] < 5000
    assert results[3]["test"] == {"loss": None, "accuracy": None}
    (failed,) = (line for line in said if line.startswith("  search.trial-005: "))
    assert "the training loss is not finite; no checkpoint yet. Lower" in failed

    losses = [one["validation"]["loss"] for one in results[:3]]
    kept = read(runs / "final" / "both" / "settings.json")
    assert kept["train"]["learning_rate"] == rates[losses.index(min(losses))]
    assert (kept["train"]["epochs"], kept["splits"]["validation_fraction"]) == (3, 0.0)
    final = read(runs / "final" / "both" / "result.json")
    assert final["validation"] == {"loss": None, "accuracy": None}
    held_out = [
        sum(read(path)["counts"]["validation"].values())
        for path in (tmp_path / "out" / "datasets").glob("*/manifest.json")
    ]
    assert len(held_out) == 2
    test_rows = final["test"]["rows"]
    assert rows == f"final: rows: {80 - test_rows} to train on, {test_rows} to test"
    assert min(held_out) == 0 < max(held_out)

    client = MlflowClient(uri)
    children = client.search_runs(
        [client.get_run(parent).info.experiment_id], f"tags.mlflow.parentRunId = '{parent}'"
    )
    names = sorted(str(run.info.run_name) for run in children)
    assert names == ["final.both", *(f"search.trial-00{n}" for n in range(1, 6))]
    assert client.get_run(parent).info.status == "FAILED"
    held = {one.path for one in client.list_artifacts(parent)}
    assert {"table.md", "table.csv"} <= held


@pytest.mark.slow
def test_folds_in_spark_s_tasks_are_one_row_with_all_metrics(
    start: Start, tmp_path: Path, draw_images: DrawImages
) -> None:
    base = stripes(draw_images(each=40), tracking={"enabled": False}, spark={"master": "local[2]"})
    asked = {
        "name": "stripes",
        "on": "spark",
        "parallel": 2,
        "folds": 2,
        "score": ["train", "validation", "test"],
        "choose": {"metric": "f1"},
        "base": base,
        "runs": [{"name": "one"}, {"name": "two", "set": {"train.learning_rate": 0.1}}],
    }
    finish(start(asked))
    runs = tmp_path / "out" / "runs"
    folds = [read(runs / "one" / f"fold-{number}" / "result.json") for number in (0, 1)]
    for number, one in enumerate(folds):
        for split in ("train", "validation", "test"):
            name = "scores" if split == "test" else f"scores-{split}"
            metrics = read(runs / "one" / f"fold-{number}" / name / "metrics.json")
            (a, b), (c, d) = metrics["confusion"]
            assert one[split] == {
                **{key: metrics[key] for key in ("loss", "accuracy", "precision", "recall", "f1")},
                "rows": a + b + c + d,
                "mistakes": b + c,
            }
            assert metrics["split"] == split
    # Every image that is not of the test split validates once.
    rows = [one["validation"]["rows"] for one in folds]
    assert sum(rows) + folds[0]["test"]["rows"] == 80
    (row,) = (
        row
        for row in csv.DictReader((tmp_path / "out" / "table.csv").open())
        if row["run"] == "one"
    )
    mean = statistics.fmean(one["test"]["accuracy"] for one in folds)
    assert float(row["test accuracy"]) == pytest.approx(mean)


def shrunk(name: str) -> dict[str, Any]:
    """A paper's file with all its stages, two runs of each."""
    asked: dict[str, Any] = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text())
    asked["parallel"] = 2
    asked["base"]["tracking"] = {"enabled": False}
    asked["base"]["preprocess"] = {"max_reject_fraction": 0.2}  # the sample has four broken files
    for stage in asked.get("stages", [asked]):
        stage["runs"] = [*stage.get("runs", [])[:1], *stage.get("runs", [])[1:][-1:]]
        if "random" in stage:
            stage["random"]["count"] = 2
        if "search" in stage:
            stage["search"]["trials"] = 2
    return asked


# How many runs each has then.
PAPERS = {
    "regularised-convnets": 2,
    "cifar10-ablation": 2,
    "random-search": 6,
    "vgg13-bayes": 5,
    "mlp-to-cnn": 5,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_s_experiment_runs_whole_on_a_few_drawn_images(
    start: Start, tmp_path: Path, draw_images: DrawImages, name: str
) -> None:
    if name == "cifar10-ablation":
        classes = ("a", "b", "c")
        images = draw_images("images/train", classes, each=12).parent
        draw_images("images/test", classes, each=16, start=12)
    else:
        images = generate_sample(tmp_path / "faces", pairs=24, seed=7, size_px=64, processes=1)
    finish(start(shrunk(name), "--input", str(images), "--epochs", "1", "--subset", "48"))
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert len(rows) == PAPERS[name]
    assert all(0 <= float(row["test accuracy"]) <= 1 for row in rows)


def test_other_machines_must_see_the_output(tmp_path: Path) -> None:
    def refusal(output: str, tracking: Optional[dict[str, Any]] = None) -> str:
        base = config_from_mapping({"tracking": tracking or {}}, "test")
        with pytest.raises(InputError) as caught:
            command._check_shared_storage(base, output, "spark://host:7077")
        return str(caught.value)

    assert refusal(str(tmp_path)) == (
        f"{tmp_path}: is a folder of this machine, and trainings run where Spark's master "
        "spark://host:7077 has them; give an --output that all machines see, such as "
        "s3://bucket/out"
    )
    assert refusal("s3://bucket/out", {"uri": "sqlite:////a.db"}) == (
        "sqlite:////a.db: is a file of this machine, and trainings run where Spark's master "
        "spark://host:7077 has them; give a server's base.tracking.uri, or "
        "base.tracking.enabled: false"
    )
    off = config_from_mapping({"tracking": {"enabled": False}}, "test")
    command._check_shared_storage(off, "s3://bucket/out", "spark://host:7077")
