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

from conftest import draw_stripes, stripes
from connect_server import ConnectServer
from halftone import model_directory
from job_runs import litter, results, run
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


def test_all_jobs_on_a_disk(connect_server: ConnectServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    images = draw_stripes(tmp_path / "images", ("lying", "upright"), each=60)
    (images / "lying" / "broken.png").write_bytes(b"\x89PNG")
    (images / "upright" / "again.png").write_bytes((images / "upright" / "0000.png").read_bytes())
    paths = {"images": str(images), **{n: str(out / n) for n in ("dataset", "model", "scores")}}
    conf = write_config(tmp_path / "run.yaml", paths)
    outcomes = []
    for options in ([], ["--set", f"spark.remote={connect_server.url}"]):
        for job in ("preprocess", "train", "score"):
            run(job, "--config", conf, *options)
        outcomes.append(results(tmp_path))
        assert model_directory.read_model_info(str(out / "model")).ranks == 2
        assert litter(out) == []
        if options:
            # Ranks in tasks of the server, which must all run at once.
            flags = ["--set", "train.launcher=spark", "--output", out / "in_tasks"]
            run("train", "--config", conf, *options, *flags)
            in_tasks = model_directory.read_model_info(str(out / "in_tasks"))
            assert in_tasks.version == outcomes[0]["model"]
        out.rename(tmp_path / f"out-{len(outcomes)}")
    assert outcomes[0] == outcomes[1]


class Bucket:
    """A bucket with images, and a config for each folder of results."""

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self.store, self.folder = store, folder

    def draw(self, first: int, last: int) -> None:
        """Upload the images `first` to `last - 1` of each class."""
        for kind, name in enumerate(("lying", "upright")):
            for index in range(first, last):
                png = cv2.imencode(".png", stripes(kind, seed=1000 * kind + index))[1].tobytes()
                self.store.client().pipe({f"{BUCKET}/images/{name}/{index:04d}.png": png})

    def config(self, results: str, **spark: str) -> Path:
        paths = {
            "images": f"{ROOT}/images",
            "dataset": f"{ROOT}/{results}/dataset",
            "model": f"{ROOT}/model",
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


def test_new_images_on_an_object_store(
    connect_server: ConnectServer, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    classic, remote = bucket.config("classic"), bucket.config("connect")
    for name in list(os.environ):
        if name.startswith("FSSPEC_"):
            monkeypatch.delenv(name)  # only the config has the address of the store

    def both(job: str, *arguments: str) -> None:
        monkeypatch.delenv("SPARK_REMOTE", raising=False)
        run(job, "--config", classic, *arguments)
        monkeypatch.setenv("SPARK_REMOTE", connect_server.url)
        run(job, "--config", remote, *arguments)

    bucket.draw(0, 50)
    both("preprocess")
    first = bucket.dataset("classic")
    assert bucket.dataset("connect") == first
    bucket.draw(50, 60)
    both("preprocess")
    assert bucket.dataset("connect") == bucket.dataset("classic") != first
    monkeypatch.delenv("SPARK_REMOTE")
    run("train", "--config", classic, "--set", "train.ranks=1")
    both("score")
    rows = bucket.predictions("classic")
    assert len(rows) > 10
    assert bucket.predictions("connect") == rows
    monkeypatch.delenv("SPARK_REMOTE")
    images = ["--images", f"{ROOT}/images"]
    run("score", "--config", classic, *images, "--output", f"{ROOT}/classic-images/scores")
    monkeypatch.setenv("SPARK_REMOTE", connect_server.url)
    run("score", "--config", remote, *images, "--output", f"{ROOT}/connect-images/scores")
    rows = bucket.predictions("classic-images")
    assert len(rows) == 120
    assert bucket.predictions("connect-images") == rows
