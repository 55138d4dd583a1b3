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
from conftest import ODD_NAME, stripes
from object_store import BUCKET, KEY, SECRET, ObjectStore, served

PREFIX = f"{BUCKET}/{ODD_NAME}"
ROOT = f"s3://{PREFIX}"
JOBS = Path(__file__).parents[2] / "jobs"


class Site:
    """A bucket with images, a config with all paths in the bucket, and the output of its jobs."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.folder, self.store, self.output = folder, store, ""
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
                    "spark": {"master": "local[1, 4]"},
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
            # Without address and options of the store, which only the config holds.
            env={
                **without_store_options(os.environ),
                "TMPDIR": str(self.folder / "tmp"),
                **environment,
            },
            cwd=self.folder,
            start_new_session=True,
        )

    def run(self, job: str, *arguments: str, code: int = 0, **environment: str) -> list[str]:
        process = self.start(job, *arguments, **environment)
        output, _ = process.communicate(timeout=400)
        self.output += output
        assert process.returncode == code, output
        return output.splitlines()

    def json(self, path: str) -> Any:
        return json.loads(self.store.client().cat_file(f"{PREFIX}/{path}"))

    def rows(self, scores: str) -> dict[str, Any]:
        """Read the predictions in a scores directory, by key."""
        names = self.json(f"{scores}/metrics.json")["predictions"]
        files = [self.store.client().cat_file(f"{PREFIX}/{scores}/{name}") for name in names]
        rows = [row for data in files for row in pq.read_table(BytesIO(data)).to_pylist()]
        return {row["key"]: row for row in rows}

    def draw(self, first: int, last: int) -> None:
        """Upload the images `first` to `last - 1` of each class."""
        files = {
            f"{PREFIX}/images/{name}/{index:04d}.png": cv2.imencode(
                ".png", stripes(kind, seed=1000 * kind + index)
            )[1].tobytes()
            for kind, name in enumerate(("lying", "upright"))
            for index in range(first, last)
        }
        self.store.client().pipe(files)


def without_store_options(environment: Any) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("FSSPEC_")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site") / ODD_NAME
    (folder / "tmp").mkdir(parents=True)
    with served(tmp_path_factory.mktemp("s3")) as store:
        new_site = Site(folder, store)
        new_site.draw(0, 60)
        yield new_site


@pytest.fixture(scope="module")
def finished_site(site: Site) -> Site:
    """A site after all stages; the scores are those of the model in MLflow."""
    assert site.run("preprocess")[-1] == f"dataset: {ROOT}/dataset"
    assert site.run("train")[-1] == f"model: {ROOT}/model"
    run_id = site.json("model/mlflow.json")["run_id"]
    assert site.run("score", "--model", f"runs:/{run_id}/model")[-1] == f"scores: {ROOT}/scores"
    return site


@pytest.mark.slow
def test_all_stages_with_every_path_on_the_store(finished_site: Site) -> None:
    manifest, metrics = (
        finished_site.json("dataset/manifest.json"),
        finished_site.json("scores/metrics.json"),
    )
    assert (manifest["inputs"], manifest["rows"], manifest["version"]) == (120, 120, 1)
    assert manifest["images"] == f"{ROOT}/images"
    assert finished_site.json("model/model.json")["ranks"] == 2
    assert metrics["rows"] == sum(manifest["counts"]["test"].values())
    paths = finished_site.store.client().find(BUCKET)
    assert {path.split("/")[2] for path in paths} == {"images", "dataset", "model", "scores"}
    assert not [path for path in paths if "_staging" in path]
    assert f"{PREFIX}/model/logs/rank-1.log" in paths


@pytest.mark.slow
def test_raw_images_on_the_store_get_the_scores_of_the_dataset(finished_site: Site) -> None:
    lines = finished_site.run("score", "--images", f"{ROOT}/images", "--output", f"{ROOT}/new")
    assert lines[-1] == f"scores: {ROOT}/new"
    new = finished_site.json("new/metrics.json")
    assert (new["inputs"], new["rows"], new["rejects"], new["labelled"]) == (120, 120, 0, 120)
    rows, known = finished_site.rows("new"), finished_site.rows("scores")
    assert len(rows) == 120
    assert len(known) == finished_site.json("scores/metrics.json")["rows"]
    for key, row in known.items():
        assert rows[key]["probability"] == pytest.approx(row["probability"], abs=1e-5)
        assert rows[key]["label"] == row["label"]


@pytest.mark.slow
def test_transient_faults_change_no_result(finished_site: Site) -> None:
    manifest, metrics = (
        finished_site.json("dataset/manifest.json"),
        finished_site.json("scores/metrics.json"),
    )
    proxy = finished_site.store.proxy
    proxy.requests.clear()
    proxy.fault = fault_proxy.random_faults(0.05, seed=5)
    try:
        finished_site.run("preprocess", "--output", f"{ROOT}/again/dataset")
        finished_site.run(
            "score", "--dataset", f"{ROOT}/again/dataset", "--output", f"{ROOT}/again/scores"
        )
    finally:
        proxy.fault = fault_proxy.no_faults
    assert all(proxy.count(fault) for fault in fault_proxy.FAULTS)
    assert (
        finished_site.json("again/dataset/manifest.json")["fingerprint"] == manifest["fingerprint"]
    )
    assert finished_site.json("again/dataset/manifest.json")["rejects"] == 0
    again = finished_site.json("again/scores/metrics.json")
    for name in ("rows", "accuracy", "f1", "loss", "confusion", "model_version"):
        assert again[name] == metrics[name]


@pytest.mark.slow
def test_a_kill_while_publishing_leaves_the_old_version(finished_site: Site) -> None:
    proxy, manifest = finished_site.store.proxy, finished_site.json("dataset/manifest.json")
    finished_site.draw(60, 70)

    def hold(method: str, target: str) -> str:
        is_publishing = method == "PUT" and "/dataset/manifest.json" in target
        return fault_proxy.HANG if is_publishing else fault_proxy.PASS

    proxy.requests.clear()
    proxy.fault = hold
    process = finished_site.start("preprocess")
    try:
        deadline = time.monotonic() + 300
        while not proxy.count(fault_proxy.HANG):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        finished_site.output += process.communicate()[0]
        proxy.fault = fault_proxy.no_faults
    assert finished_site.json("dataset/manifest.json") == manifest
    paths = set(finished_site.store.client().find(f"{PREFIX}/dataset"))
    assert {f"{PREFIX}/dataset/{file['path']}" for file in manifest["files"]} <= paths
    # The same command resumes; it does not decode the images again.
    proxy.requests.clear()
    assert finished_site.run("preprocess")[-1] == f"dataset: {ROOT}/dataset"
    manifest = finished_site.json("dataset/manifest.json")
    assert (manifest["version"], manifest["inputs"], manifest["rows"]) == (2, 140, 140)
    assert not [target for _, target, _ in proxy.requests if "/images/lying/" in target]
    assert not finished_site.store.client().exists(f"{PREFIX}/dataset/_staging")


@pytest.mark.slow
def test_credentials_are_in_no_file_and_no_output(finished_site: Site) -> None:
    client = finished_site.store.client()
    contents = {path: client.cat_file(path) for path in client.find(BUCKET)}
    local_files = [path for path in finished_site.folder.rglob("*") if path.is_file()]
    contents.update({str(path): path.read_bytes() for path in local_files})
    contents["output of the jobs"] = finished_site.output.encode()
    assert len(contents) > 150
    assert str(finished_site.conf) in contents
    for secret in (KEY, SECRET):
        assert [name for name, data in contents.items() if secret.encode() in data] == []


def test_wrong_credentials_end_a_job_with_advice(site: Site) -> None:
    (line,) = site.run("preprocess", code=1, AWS_SECRET_ACCESS_KEY="another")
    assert line.startswith(f"failed: {ROOT}/dataset/manifest.json: the store at ")
    assert "denies access: " in line
    assert line.endswith(
        "check the credentials and their permissions (docs/how-to/storage.md lists where "
        "credentials are looked up)"
    )


def test_a_missing_bucket_ends_a_job_with_advice(site: Site) -> None:
    lines = site.run("preprocess", "--input", "s3://nobody-has-this/images", code=2)
    assert lines == [
        "error: s3://nobody-has-this/images: no such folder; check paths.images or --input"
    ]


@pytest.mark.slow
def test_an_output_that_may_not_be_written_is_found_before_the_images_are_listed(
    site: Site,
) -> None:
    proxy = site.store.proxy
    proxy.requests.clear()
    proxy.fault = lambda method, _: fault_proxy.ERROR_403 if method == "PUT" else fault_proxy.PASS
    try:
        (line,) = site.run("preprocess", "--output", f"{ROOT}/denied", code=2)
    finally:
        proxy.fault = fault_proxy.no_faults
    assert line.startswith(f"error: {ROOT}/denied: cannot be written: {ROOT}/denied/_probe-")
    assert " denies access: " in line
    assert "PUT" in {method for method, _, _ in proxy.requests}
    assert not [target for _, target, _ in proxy.requests if "images" in target]
