"""Complete experiments as started by a user: stages, searches, folds and those of the papers."""

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
from pyspark.sql import SparkSession

from conftest import DrawImages
from halftone.config import TrackingSettings, config_from_mapping
from halftone.errors import InputError
from halftone.experiment import command
from halftone.sample.generate import generate_sample
from halftone.tracking import tracking
from training_jobs import finish, wait_for

ROOT = Path(__file__).parents[2]
JOB = str(ROOT / "jobs" / "experiment.py")
EXPERIMENTS = ROOT / "conf" / "experiments"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_experiment(experiment: dict[str, Any], *flags: str) -> subprocess.Popen[str]:
        path = tmp_path / "table.yaml"
        path.write_text(yaml.safe_dump(experiment))
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

    yield start_experiment
    for process in started:
        process.kill()  # if a test has failed; its trainings exit with it
        process.wait()


def base_settings(images: Path, **settings: Any) -> dict[str, Any]:
    """Settings of all runs: a tiny network for images of stripes."""
    return {
        "seed": 7,
        "paths": {"images": str(images)},
        "pixels": {"height_px": 16, "width_px": 16},
        "splits": {"validation_fraction": 0.25, "test_fraction": 0.25},
        "spark": {"master": "local[1, 4]"},
        "train": {
            "epochs": 2,
            "batch_size": 16,
            "optimizer": "sgd",
            "momentum": 0.9,
            "model": {"name": "convnet", "filters": [4], "dense": [8]},
        },
        **settings,
    }


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.slow
def test_folds_of_images_with_a_validation_split_are_refused_before_a_training(
    spark: SparkSession, tmp_path: Path, draw_images: DrawImages
) -> None:
    for split in ("train", "validation"):
        images = draw_images(f"images/{split}", each=4).parent
    base = base_settings(
        images,
        splits={"from_path": "^(train|validation)/"},
        tracking={"enabled": False},
    )
    experiment = {"name": "a", "folds": 2, "base": base, "runs": [{"name": "one"}]}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(experiment))
    with pytest.raises(InputError) as error:
        command.run_experiment(str(tmp_path / "a.yaml"), output=str(tmp_path / "out"))
    assert str(error.value) == (
        f"{images}: the images have a validation split of their own (by splits.from_path or a "
        "table), so all 2 folds are the same; let splits.from_path and the table name only train "
        "and test images"
    )
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
@pytest.mark.odd_folder
def test_a_killed_search_resumes_prunes_and_passes_its_best_run_to_the_next_stage(
    start: Start, tmp_path: Path, draw_images: DrawImages
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    rates = [0.05, 0.04, 0.06, 1e-7, 1e30]
    base = base_settings(draw_images(each=40), tracking={"uri": uri})
    # The fourth run would take minutes without pruning. The runs are sequential, so that there are
    # three runs to compare it with when it starts.
    choices = [
        {**base["train"], "learning_rate": rate, "epochs": 5000 if rate == 1e-7 else 10}
        for rate in rates
    ]
    experiment = {
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
    killed = start(experiment)
    for file in ("settings.json", "model/model.json", "result.json"):
        wait_for(runs / "search" / "trial-001" / file, killed)
    killed.kill()
    finish(killed, -9)
    first_result = runs / "search" / "trial-001" / "result.json"
    mtime_ns = first_result.stat().st_mtime_ns
    parent = read_json(tmp_path / "out" / "mlflow.json")["run_id"]

    lines = finish(start(experiment), 1).splitlines()

    assert "search.trial-001: already finished, skipped" in lines
    (rows,) = (line for line in lines if line.startswith("final: rows: "))
    assert first_result.stat().st_mtime_ns == mtime_ns
    proposals = [
        read_json(folder / "proposal.json")["proposed"]["train"]
        for folder in sorted((runs / "search").iterdir())
    ]
    assert proposals == choices
    results = [read_json(runs / "search" / f"trial-00{n}" / "result.json") for n in (1, 2, 3, 4)]
    assert [result["state"] for result in results] == [*["finished"] * 3, "pruned"]
    assert [result["epochs"] for result in results[:3]] == [10] * 3
    assert 1 < results[3]["epochs"] < 5000
    assert results[3]["test"] == {"loss": None, "accuracy": None}
    (failed,) = (line for line in lines if line.startswith("  search.trial-005: "))
    assert "the training loss is not finite; no checkpoint yet. Lower" in failed

    losses = [result["validation"]["loss"] for result in results[:3]]
    settings = read_json(runs / "final" / "both" / "settings.json")
    assert settings["train"]["learning_rate"] == rates[losses.index(min(losses))]
    assert (settings["train"]["epochs"], settings["splits"]["validation_fraction"]) == (3, 0.0)
    final = read_json(runs / "final" / "both" / "result.json")
    assert final["validation"] == {"loss": None, "accuracy": None}
    held_out = [
        sum(read_json(path)["counts"]["validation"].values())
        for path in (tmp_path / "out" / "datasets").glob("*/manifest.json")
    ]
    assert len(held_out) == 2
    test_rows = final["test"]["rows"]
    assert rows == f"final: rows: {80 - test_rows} for training, {test_rows} for testing"
    assert min(held_out) == 0 < max(held_out)

    client = MlflowClient(tracking.store_uri(TrackingSettings(uri=uri)))
    children = client.search_runs(
        [client.get_run(parent).info.experiment_id], f"tags.mlflow.parentRunId = '{parent}'"
    )
    names = sorted(str(run.info.run_name) for run in children)
    assert names == ["final.both", *(f"search.trial-00{n}" for n in range(1, 6))]
    assert client.get_run(parent).info.status == "FAILED"
    artifacts = {artifact.path for artifact in client.list_artifacts(parent)}
    assert {"table.md", "table.csv"} <= artifacts


@pytest.mark.slow
def test_folds_in_spark_tasks_are_one_row_with_all_metrics(
    start: Start, tmp_path: Path, draw_images: DrawImages
) -> None:
    base = base_settings(
        draw_images(each=40), tracking={"enabled": False}, spark={"master": "local[2]"}
    )
    experiment = {
        "name": "stripes",
        "on": "spark",
        "parallel": 2,
        "folds": 2,
        "score": ["train", "validation", "test"],
        "choose": {"metric": "f1"},
        "base": base,
        "runs": [{"name": "one"}],
    }
    finish(start(experiment))
    runs = tmp_path / "out" / "runs"
    folds = [read_json(runs / "one" / f"fold-{number}" / "result.json") for number in (0, 1)]
    for number, result in enumerate(folds):
        for split in ("train", "validation", "test"):
            name = "scores" if split == "test" else f"scores-{split}"
            metrics = read_json(runs / "one" / f"fold-{number}" / name / "metrics.json")
            (a, b), (c, d) = metrics["confusion"]
            assert result[split] == {
                **{key: metrics[key] for key in ("loss", "accuracy", "precision", "recall", "f1")},
                "rows": a + b + c + d,
                "mistakes": b + c,
            }
            assert metrics["split"] == split
    # Every image outside the test split is in the validation split of one fold.
    validation_rows = [result["validation"]["rows"] for result in folds]
    assert sum(validation_rows) + folds[0]["test"]["rows"] == 80
    (row,) = csv.DictReader((tmp_path / "out" / "table.csv").open())
    mean = statistics.fmean(result["test"]["accuracy"] for result in folds)
    assert float(row["test accuracy"]) == pytest.approx(mean)


def shrink_experiment(name: str) -> dict[str, Any]:
    """Read the experiment of a paper and reduce each of its stages to one or two runs."""
    experiment: dict[str, Any] = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text())
    experiment["parallel"] = 1  # so that one process trains all
    experiment["base"]["tracking"] = {"enabled": False}
    experiment["base"]["spark"] = {"master": "local[1, 4]"}
    if name == "vgg13-bayes":
        experiment["base"]["pixels"].update(height_px=32, width_px=32)  # a ninth of the work
    # The sample has four broken files.
    experiment["base"]["preprocess"] = {"max_reject_fraction": 0.2}
    for stage in experiment.get("stages", [experiment]):
        runs = stage.get("runs", [])
        stage["runs"] = runs[:1] if "stages" in experiment else [runs[0], runs[-1]]
        if "random" in stage:
            stage["random"]["count"] = 1
        if "search" in stage:
            stage["search"]["trials"] = 2
    return experiment


# The runs of two reduced experiments: one with a random stage, one with a Bayesian search.
PAPERS = {
    "random-search": [
        ("search", "8-dense_1-conv_pooling-max"),
        ("size", "64-px"),
        ("final", "found"),
    ],
    "vgg13-bayes": [
        ("baseline", "baseline"),
        *[("search", "trial-001"), ("search", "trial-002")],
        ("optimised", "found"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_the_experiment_of_a_paper_runs_on_a_few_drawn_images(
    start: Start, tmp_path: Path, name: str
) -> None:
    images = generate_sample(tmp_path / "faces", pairs=24, seed=7, size_px=64, processes=1)
    finish(
        start(shrink_experiment(name), "--input", str(images), "--epochs", "1", "--subset", "48")
    )
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [(row["stage"], row["run"]) for row in rows] == PAPERS[name]
    assert all(0 <= float(row["test accuracy"]) <= 1 for row in rows)


def test_a_cluster_needs_a_shared_output_and_tracking_server(tmp_path: Path) -> None:
    def error_message(output: str, tracking: Optional[dict[str, Any]] = None) -> str:
        base = config_from_mapping({"tracking": tracking or {}}, "test")
        with pytest.raises(InputError) as caught:
            command._check_shared_storage(base, output, "spark://host:7077")
        return str(caught.value)

    assert error_message(str(tmp_path)) == (
        f"{tmp_path}: is a local folder, but trainings run on the machines of the Spark cluster "
        "spark://host:7077; use an --output that all machines can access, such as s3://bucket/out"
    )
    assert error_message("s3://bucket/out", {"uri": "sqlite:////a.db"}) == (
        "sqlite:////a.db: is a local file, but trainings run on the machines of the Spark cluster "
        "spark://host:7077; set base.tracking.uri to a server, or base.tracking.enabled: false"
    )
    off = config_from_mapping({"tracking": {"enabled": False}}, "test")
    command._check_shared_storage(off, "s3://bucket/out", "spark://host:7077")
