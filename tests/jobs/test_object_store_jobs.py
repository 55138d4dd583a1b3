"""The jobs with every path on a real S3 server: as on a disk, through faults, and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq
import pytest
import yaml

import fault_proxy
from conftest import stripes
from object_store import BUCKET, KEY, ROOT, SECRET, ObjectStore, served

JOBS = Path(__file__).parents[2] / "jobs"


class Site:
    """A bucket with images, a config of which every path is in it, and what its jobs said."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.folder, self.store, self.said = folder, store, ""
        self.conf = folder / "run.yaml"
        self.conf.write_text(
            yaml.safe_dump(
                {
                    "name": "stripes",
                    "seed": 7,
                    "paths": {
                        name: f"{ROOT}/{name}" for name in ("images", "dataset", "model", "scores")
                    },
                    "pixels": {"height_px": 16, "width_px": 16},
                    "splits": {"validation_fraction": 0.2, "test_fraction": 0.2},
                    "preprocess": {"rows_per_shard": 16},
                    "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
                    "train": {
                        "epochs": 2,
                        "ranks": 2,
                        "batch_size": 16,
                        "learning_rate": 0.01,
                        "model": {"name": "convnet", "filters": [8], "dense": [16]},
                    },
                    "storage": {"options": store.options},
                }
            )
        )

    def start(self, job: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(JOBS / f"{job}.py"), "--config", str(self.conf), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Neither address nor options of the store: the config alone holds them.
            env={**without_options(os.environ), **environment},
            cwd=self.folder,
            start_new_session=True,
        )

    def run(self, job: str, *arguments: str, code: int = 0, **environment: str) -> list[str]:
        process = self.start(job, *arguments, **environment)
        said, _ = process.communicate(timeout=400)
        self.said += said
        assert process.returncode == code, said
        return said.splitlines()

    def json(self, path: str) -> Any:
        return json.loads(self.store.client().cat_file(f"{BUCKET}/{path}"))

    def rows(self, scores: str) -> dict[str, Any]:
        """The predictions of the scores in a folder, by key."""
        names = self.json(f"{scores}/metrics.json")["predictions"]
        files = [self.store.client().cat_file(f"{BUCKET}/{scores}/{name}") for name in names]
        rows = [row for data in files for row in pq.read_table(BytesIO(data)).to_pylist()]
        return {row["key"]: row for row in rows}

    def draw(self, first: int, last: int) -> None:
        drawn = {
            f"{BUCKET}/images/{name}/{index:04d}.png": cv2.imencode(
                ".png", stripes(kind, seed=1000 * kind + index)
            )[1].tobytes()
            for kind, name in enumerate(("lying", "upright"))
            for index in range(first, last)
        }
        self.store.client().pipe(drawn)


def without_options(environment: Any) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("FSSPEC_")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with served(tmp_path_factory.mktemp("s3")) as store:
        made = Site(folder, store)
        made.draw(0, 60)
        yield made


@pytest.fixture(scope="module")
def done(site: Site) -> Site:
    """All stages, one after the other; the scores are by the model that MLflow keeps."""
    assert site.run("preprocess")[-1] == f"dataset: {ROOT}/dataset"
    assert site.run("train")[-1] == f"model: {ROOT}/model"
    run = site.json("model/mlflow.json")["run_id"]
    assert site.run("score", "--model", f"runs:/{run}/model")[-1] == f"scores: {ROOT}/scores"
    return site


@pytest.mark.slow
def test_all_stages_with_every_path_on_the_store(done: Site) -> None:
    manifest, metrics = done.json("dataset/manifest.json"), done.json("scores/metrics.json")
    assert (manifest["inputs"], manifest["rows"], manifest["version"]) == (120, 120, 1)
    assert manifest["images"] == f"{ROOT}/images"
    assert done.json("model/model.json")["ranks"] == 2
    assert metrics["rows"] == sum(manifest["counts"]["test"].values())
    found = done.store.client().find(BUCKET)
    held = {path.split("/")[1] for path in found}
    assert held == {"images", "dataset", "model", "scores"}
    assert not [path for path in found if "_staging" in path]
    assert f"{BUCKET}/model/logs/rank-1.log" in found


@pytest.mark.slow
def test_raw_images_of_the_store_are_scored_as_those_of_the_dataset(done: Site) -> None:
    said = done.run("score", "--images", f"{ROOT}/images", "--output", f"{ROOT}/new")
    assert said[-1] == f"scores: {ROOT}/new"
    new = done.json("new/metrics.json")
    assert (new["inputs"], new["rows"], new["rejects"], new["labelled"]) == (120, 120, 0, 120)
    rows, known = done.rows("new"), done.rows("scores")
    assert len(rows) == 120
    assert len(known) == done.json("scores/metrics.json")["rows"]
    for key, row in known.items():
        assert rows[key]["probability"] == pytest.approx(row["probability"], abs=1e-5)
        assert rows[key]["label"] == row["label"]


@pytest.mark.slow
def test_faults_on_the_way_change_no_result(done: Site) -> None:
    manifest, metrics = done.json("dataset/manifest.json"), done.json("scores/metrics.json")
    proxy = done.store.proxy
    proxy.requests.clear()
    proxy.fault = fault_proxy.some(0.05, seed=5)
    try:
        done.run("preprocess", "--output", f"{ROOT}/again/dataset")
        done.run("score", "--dataset", f"{ROOT}/again/dataset", "--output", f"{ROOT}/again/scores")
    finally:
        proxy.fault = fault_proxy.none
    assert all(proxy.count(fault) for fault in fault_proxy.FAULTS)
    assert done.json("again/dataset/manifest.json")["fingerprint"] == manifest["fingerprint"]
    assert done.json("again/dataset/manifest.json")["rejects"] == 0
    again = done.json("again/scores/metrics.json")
    for name in ("rows", "accuracy", "f1", "loss", "confusion", "model_version"):
        assert again[name] == metrics[name]


@pytest.mark.slow
def test_killed_while_it_publishes_the_old_version_stands(done: Site) -> None:
    proxy, manifest = done.store.proxy, done.json("dataset/manifest.json")
    done.draw(60, 70)

    def hold(method: str, target: str) -> str:
        is_publishing = method == "PUT" and "/dataset/manifest.json" in target
        return fault_proxy.HANG if is_publishing else fault_proxy.PASS

    proxy.requests.clear()
    proxy.fault = hold
    process = done.start("preprocess")
    try:
        deadline = time.monotonic() + 300
        while not proxy.count(fault_proxy.HANG):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        done.said += process.communicate()[0]
        proxy.fault = fault_proxy.none
    assert done.json("dataset/manifest.json") == manifest
    there = set(done.store.client().find(f"{BUCKET}/dataset"))
    assert {f"{BUCKET}/dataset/{file['path']}" for file in manifest["files"]} <= there
    # The same command goes on, from what was decoded.
    proxy.requests.clear()
    assert done.run("preprocess")[-1] == f"dataset: {ROOT}/dataset"
    made = done.json("dataset/manifest.json")
    assert (made["version"], made["inputs"], made["rows"]) == (2, 140, 140)
    assert not [target for _, target, _ in proxy.requests if "/images/lying/" in target]
    assert not done.store.client().exists(f"{BUCKET}/dataset/_staging")


@pytest.mark.slow
def test_credentials_are_in_nothing_that_is_written_or_said(done: Site) -> None:
    client = done.store.client()
    written = {path: client.cat_file(path) for path in client.find(BUCKET)}
    local = [path for path in done.folder.rglob("*") if path.is_file()]
    written.update({str(path): path.read_bytes() for path in local})
    written["what the jobs said"] = done.said.encode()
    assert len(written) > 150
    assert str(done.conf) in written
    for secret in (KEY, SECRET):
        assert [name for name, data in written.items() if secret.encode() in data] == []


def test_wrong_credentials_end_a_job_with_the_cure(site: Site) -> None:
    said = site.run("preprocess", code=1, AWS_SECRET_ACCESS_KEY="another")
    (line,) = said
    assert line.startswith(f"failed: {ROOT}/dataset/manifest.json: the store at ")
    assert "refuses: " in line
    assert line.endswith(
        "check the credentials and what they may do (docs/storage.md says where they are looked "
        "for)"
    )


def test_a_bucket_that_is_not_there_ends_a_job_with_the_cure(site: Site) -> None:
    said = site.run("preprocess", "--input", "s3://nobody-has-this/images", code=2)
    assert said == [
        "error: s3://nobody-has-this/images: no such folder; check paths.images or --input"
    ]
