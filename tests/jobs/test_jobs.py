"""The three jobs as a user runs them: from the shell, with plain python and with spark-submit."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from pyspark.sql import SparkSession

from conftest import DrawImages
from halftone.card.files import CARD_FILES
from halftone.config import load_config
from halftone.dataset.schema import PREDICTIONS, ROWS
from halftone.preprocess.run import preprocess
from job_runs import PYTHON, ROOT, SUBMIT, environment, litter, results, run
from lineage_server import LineageServer, datasets, running_server

pytestmark = pytest.mark.odd_folder
SUBMIT_1 = [SUBMIT[0], "--master", "local[1]"]


@pytest.fixture
def conf(tmp_path: Path, draw_images: DrawImages) -> Path:
    """A config whose three jobs take seconds: 160 images of 16 x 16 px, a tiny network."""
    settings = {
        "name": "stripes",
        "seed": 7,
        "paths": {
            "images": str(draw_images(each=80)),
            **{name: str(tmp_path / "out" / name) for name in ("dataset", "model", "scores")},
        },
        "pixels": {"height_px": 16, "width_px": 16},
        "splits": {"validation_fraction": 0.2, "test_fraction": 0.2},
        "tracking": {"enabled": False},
        "spark": {"master": "local[1, 4]"},
        "train": {
            "epochs": 6,
            "batch_size": 16,
            "learning_rate": 0.01,
            "model": {"name": "convnet", "filters": [8], "dense": [16]},
        },
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def cut_jpeg() -> bytes:
    """A JPEG whose second half is missing, of which libjpeg warns."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "JPEG")
    return buffer.getvalue()[: buffer.tell() // 2] + b"\xff\xd9"


@pytest.fixture
def lineage(monkeypatch: pytest.MonkeyPatch) -> Iterator[LineageServer]:
    """A server that gets the lineage events of the jobs."""
    with running_server() as server:
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        yield server


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_images_to_a_scored_model(
    conf: Path, tmp_path: Path, lineage: LineageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three jobs; then the same, each killed at several moments and started again."""
    out = tmp_path / "out"
    folder = Path(yaml.safe_load(conf.read_text())["paths"]["images"]) / "lying"
    png = (folder / "0000.png").read_bytes()
    (folder / "cut.png").write_bytes(png[: len(png) // 2])  # run() looks for lines of libpng
    (folder / "cut.jpg").write_bytes(cut_jpeg())
    assert run("preprocess", "--config", conf)[-1] == f"dataset: {out}/dataset"
    assert run("train", "--config", conf)[-1] == f"model: {out}/model"
    assert set(CARD_FILES) <= set(os.listdir(out / "model"))
    lines = run("score", "--config", conf)
    assert lines[-2:] == [f"report: {out}/scores/report.html", f"scores: {out}/scores"]
    outcome = results(tmp_path)
    assert outcome["accuracy"] > 0.9  # lying and upright stripes are easy
    assert all(Path(row["key"]).exists() for row in outcome["rows"])
    check_lineage(lineage, out, str(folder.parent), outcome)

    monkeypatch.delenv("OPENLINEAGE_URL")
    out.rename(tmp_path / "undisturbed")
    kills = 0
    for job, moments in KILL_AFTER_SECS.items():
        for secs in moments:
            kills += kill_after(job, conf, secs)
        run(job, "--config", conf)
    assert kills >= 4
    assert results(tmp_path) == outcome
    assert litter(out) == []


# Seconds from start to kill: while Spark starts, while the job works, while it publishes.
KILL_AFTER_SECS = {"preprocess": (3.0, 5.0, 6.5), "train": (3.0, 6.0), "score": (4.0, 8.0, 11.0)}


def kill_after(job: str, conf: Path, secs: float) -> bool:
    """Start a job and kill its process group after `secs`; False if it ended before."""
    process = subprocess.Popen(
        [*PYTHON, str(ROOT / "jobs" / f"{job}.py"), "--config", str(conf)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    try:
        process.wait(timeout=secs)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def check_lineage(lineage: LineageServer, out: Path, images: str, outcome: dict[str, Any]) -> None:
    """Check the events of the three jobs: what they have read and written, in which versions."""
    jobs = ("preprocess", "train", "score")
    assert lineage.states() == [
        (f"stripes.{job}", state) for job in jobs for state in ("START", "COMPLETE")
    ]
    assert len({event["run"]["runId"] for event in lineage.events}) == 3
    dataset = {"version": {"datasetVersion": outcome["fingerprint"]}, "schema": ROWS.names}
    size = sum(file["size_bytes"] for file in outcome["files"])
    counts = {"rowCount": 160, "size": size, "fileCount": len(outcome["files"])}
    network_bytes = next((out / "model").glob("*.keras")).stat().st_size
    model = {"version": {"datasetVersion": outcome["model"]}}
    model_counts = {"rowCount": None, "size": network_bytes, "fileCount": 1}
    dataset_in = ("file", f"{out}/dataset", {**dataset, "inputStatistics": counts})
    model_in = ("file", f"{out}/model", {**model, "inputStatistics": model_counts})
    metrics = json.loads((out / "scores" / "metrics.json").read_text())
    scores = {
        "version": {"datasetVersion": metrics["run"]},
        "schema": PREDICTIONS.names,
        "outputStatistics": {
            "rowCount": len(outcome["rows"]),
            "size": None,
            "fileCount": len(metrics["predictions"]),
        },
    }
    dataset_out = ("file", f"{out}/dataset", {**dataset, "outputStatistics": counts})
    model_out = ("file", f"{out}/model", {**model, "outputStatistics": model_counts})
    expected = [
        ([("file", images, {})], [dataset_out]),
        ([dataset_in], [model_out]),
        ([dataset_in, model_in], [("file", f"{out}/scores", scores)]),
    ]
    for event, (inputs, outputs) in zip(lineage.events[1::2], expected):
        assert drop_none(datasets(event["inputs"])) == drop_none(inputs)
        assert drop_none(datasets(event["outputs"])) == drop_none(outputs)


def drop_none(value: Any) -> Any:
    """The client sends no keys whose value is None."""
    if isinstance(value, dict):
        return {key: drop_none(item) for key, item in value.items() if item is not None}
    return [drop_none(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.slow
def test_a_failing_job_reports_its_error(
    conf: Path, tmp_path: Path, lineage: LineageServer
) -> None:
    (line,) = run("preprocess", "--config", conf, "--input", tmp_path / "nowhere", code=2)
    assert lineage.states() == [("stripes.preprocess", "START"), ("stripes.preprocess", "FAIL")]
    facet = lineage.events[1]["run"]["facets"]["errorMessage"]
    assert line == f"error: {facet['message']}"


@pytest.mark.slow
def test_flags_and_overrides_take_precedence_with_spark_submit(conf: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    arguments = ["--output", other / "data", "--set", "splits.test_fraction=0.5"]
    lines = run("preprocess", "--config", conf, *arguments, by=SUBMIT_1)
    assert lines[-1] == f"dataset: {other}/data"
    manifest = json.loads((other / "data" / "manifest.json").read_text())
    assert 55 <= sum(manifest["counts"]["test"].values()) <= 105
    arguments = [
        "--dataset",
        other / "data",
        "--output",
        other / "model",
        "--set",
        "train.epochs=1",
    ]
    assert run("train", "--config", conf, *arguments, by=SUBMIT_1)[-1] == f"model: {other}/model"
    images = yaml.safe_load(conf.read_text())["paths"]["images"]
    arguments = ["--images", images, "--model", other / "model", "--output", other / "new"]
    lines = run("score", "--config", conf, *arguments, by=SUBMIT_1)
    assert lines[-1] == f"scores: {other}/new"
    new = json.loads((other / "new" / "metrics.json").read_text())
    assert (new["inputs"], new["rejects"], new["labelled"]) == (manifest["inputs"], 0, new["rows"])


@pytest.mark.slow
def test_the_switches_of_preprocess(conf: Path, tmp_path: Path, spark: SparkSession) -> None:
    images = Path(yaml.safe_load(conf.read_text())["paths"]["images"])
    dataset = tmp_path / "out" / "dataset"
    lines = run("preprocess", "--config", conf, "--estimate")
    assert lines[0] == "sample: 50 of 160 images"
    assert lines[-1] == "estimate only: nothing was written"
    assert not dataset.exists()
    (images / "lying" / "late.png").write_bytes(b"")
    preprocess(load_config(str(conf)), str(images), str(dataset), lambda: spark)
    (images / "lying" / "late.png").write_bytes((images / "lying" / "0000.png").read_bytes())
    (images / "upright" / "0000.png").unlink()
    lines = run("preprocess", "--config", conf, "--retry-rejects")
    assert "161 images = 160 rows + 0 rejects + 1 duplicates" in lines
    assert "1 of them no longer exist, and are kept; --prune removes them" in lines
    lines = run("preprocess", "--config", conf, "--prune")
    assert "160 images = 159 rows + 0 rejects + 1 duplicates" in lines


@pytest.mark.parametrize("job", ["preprocess", "train", "score"])
def test_a_config_mistake_ends_a_job_before_it_starts_spark(
    conf: Path, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))  # Spark could not start
    lines = run(job, "--config", conf, "--set", "train.epochs=0", code=2)
    assert lines == [
        "error: --set train.epochs=0: 1 mistake",
        "  train.epochs = 0: must be greater than or equal to 1",
    ]


def test_a_missing_folder_of_images(conf: Path, tmp_path: Path) -> None:
    lines = run("preprocess", "--config", conf, "--input", tmp_path / "nowhere", code=2)
    assert lines == [f"error: {tmp_path}/nowhere: no such folder; check paths.images or --input"]


def test_stages_in_the_wrong_order(conf: Path, tmp_path: Path) -> None:
    assert run("train", "--config", conf, code=2) == [
        f"error: {tmp_path}/out/dataset: no dataset here (no manifest.json); run "
        "jobs/preprocess.py, or check paths.dataset or --dataset"
    ]


@pytest.mark.slow
@pytest.mark.needs("mount")
def test_a_full_disk_is_reported_and_the_published_version_stays(
    conf: Path, tmp_path: Path, spark: SparkSession
) -> None:
    disk = tmp_path / "out"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=True)
    images = Path(yaml.safe_load(conf.read_text())["paths"]["images"])
    try:
        preprocess(load_config(str(conf)), str(images), str(disk / "dataset"), lambda: spark)
        published = (disk / "dataset" / "manifest.json").read_bytes()
        filler = disk / "filler"
        fill(filler)
        for path in list(images.rglob("*.png"))[:60]:
            path.touch()
        assert run("preprocess", "--config", conf, code=2) == [
            f"error: {disk}/dataset: cannot be written: No space left on device; correct the "
            "permissions, make room, or give another path"
        ]
        os.truncate(filler, filler.stat().st_size - 65536)  # enough to start, and no more
        lines = run("preprocess", "--config", conf, code=1)[-1]
        assert lines.startswith("failed: ")
        assert "No space left on device" in lines
        assert lines.endswith("again to go on")
        assert (disk / "dataset" / "manifest.json").read_bytes() == published
        filler.unlink()
        run("preprocess", "--config", conf)
        assert json.loads((disk / "dataset" / "manifest.json").read_text())["version"] == 2
        assert litter(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return
