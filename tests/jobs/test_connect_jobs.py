"""The jobs through a Spark Connect server give what they give on classic Spark."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq
import pytest
import yaml

from conftest import stripes
from connect_server import ConnectServer
from job_runs import run
from object_store import BUCKET, ROOT, ObjectStore, served

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "name": "stripes",
    "seed": 7,
    "pixels": {"height_px": 16, "width_px": 16},
    "splits": {"validation_fraction": 0.2, "test_fraction": 0.2},
    "preprocess": {"rows_per_shard": 16, "near_duplicates": "report"},
    "tracking": {"enabled": False},
    "train": {
        "epochs": 3,
        "ranks": 2,
        "batch_size": 16,
        "learning_rate": 0.01,
        "model": {"name": "convnet", "filters": [8], "dense": [16]},
    },
}


def write_config(path: Path, paths: dict[str, str], **settings: Any) -> Path:
    path.write_text(yaml.safe_dump({**SETTINGS, "paths": paths, **settings}))
    return path


class Bucket:
    """A bucket with images, and a config for each folder of results."""

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self.store, self.folder = store, folder

    def draw(self, first: int, last: int) -> None:
        """Upload the images `first` to `last - 1` of each class."""
        for kind, name in enumerate(("lying", "upright")):
            for index in range(first, last):
                png = cv2.imencode(".png", stripes(kind, seed=1000 * kind + index))[1].tobytes()
                self.put(f"images/{name}/{index:04d}.png", png)

    def put(self, path: str, content: bytes) -> None:
        self.store.client().pipe({f"{BUCKET}/{path}": content})

    def config(self, results: str, **spark: str) -> Path:
        paths = {
            "images": f"{ROOT}/images",
            "dataset": f"{ROOT}/{results}/dataset",
            "model": f"{ROOT}/{results}/model",
            "scores": f"{ROOT}/{results}/scores",
        }
        options = {"options": self.store.options}
        return write_config(self.folder / f"{results}.yaml", paths, storage=options, spark=spark)

    def json(self, path: str) -> Any:
        return json.loads(self.store.client().cat_file(f"{BUCKET}/{path}"))

    def dataset(self, results: str) -> tuple[str, Any]:
        manifest = self.json(f"{results}/dataset/manifest.json")
        return manifest["fingerprint"], manifest["files"]

    def predictions(self, results: str) -> list[dict[str, Any]]:
        names = self.json(f"{results}/scores/metrics.json")["predictions"]
        files = [self.store.client().cat_file(f"{BUCKET}/{results}/scores/{n}") for n in names]
        return [row for data in files for row in pq.read_table(BytesIO(data)).to_pylist()]


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    with served(tmp_path / "s3") as store:
        yield Bucket(store, tmp_path)


@pytest.mark.timeout(1200)
def test_all_jobs_on_an_object_store(
    connect_server: ConnectServer, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    classic, remote = bucket.config("classic", master="local[1]"), bucket.config("connect")
    for name in list(os.environ):
        if name.startswith("FSSPEC_"):
            monkeypatch.delenv(name)  # only the config has the address of the store

    def both(job: str, classic_arguments: list[str], remote_arguments: list[str]) -> None:
        monkeypatch.delenv("SPARK_REMOTE", raising=False)
        run(job, "--config", classic, *classic_arguments)
        monkeypatch.setenv("SPARK_REMOTE", connect_server.url)
        run(job, "--config", remote, *remote_arguments)

    bucket.draw(0, 50)
    bucket.put("images/lying/broken.png", b"\x89PNG")
    again = cv2.imencode(".png", stripes(1, seed=1000))[1].tobytes()
    bucket.put("images/upright/again.png", again)
    both("preprocess", [], [])
    first = bucket.dataset("classic")
    assert bucket.dataset("connect") == first
    bucket.draw(50, 60)
    both("preprocess", [], [])
    assert bucket.dataset("connect") == bucket.dataset("classic") != first
    # Ranks on this machine, and ranks in tasks of the server, which must all run at once.
    both("train", [], ["--set", "train.launcher=spark"])
    models = [bucket.json(f"{results}/model/model.json") for results in ("classic", "connect")]
    assert [model["ranks"] for model in models] == [2, 2]
    assert models[0]["version"] == models[1]["version"]
    both("score", [], [])
    rows = bucket.predictions("classic")
    assert len(rows) > 10
    assert bucket.predictions("connect") == rows
    metrics = [bucket.json(f"{results}/scores/metrics.json") for results in ("classic", "connect")]
    for name in ("accuracy", "precision", "recall", "f1", "loss"):
        assert metrics[0][name] == metrics[1][name]
    both(
        "score",
        ["--images", f"{ROOT}/images", "--output", f"{ROOT}/classic-images/scores"],
        [
            *("--images", f"{ROOT}/images", "--output", f"{ROOT}/connect-images/scores"),
            *("--set", f"spark.remote={connect_server.url}"),
        ],
    )
    rows = bucket.predictions("classic-images")
    assert len(rows) == 121
    assert bucket.predictions("connect-images") == rows
    paths = bucket.store.client().find(BUCKET)
    assert [path for path in paths if "_staging" in path or ".tmp-" in path] == []
