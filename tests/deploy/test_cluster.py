"""The jobs on a Spark standalone cluster whose executors have nothing but what is shipped.

The driver has no more: its Python is the archive's too, as in an image for Kubernetes.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import yaml

import packed
import standalone_cluster
from conftest import draw_stripes
from halftone import model_directory
from job_runs import ROOT as REPOSITORY
from job_runs import litter, results, run, write_stripes_config
from object_store import BUCKET, ROOT, ObjectStore, served
from standalone_cluster import Cluster
from training_jobs import history

Job = subprocess.Popen[str]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Place(NamedTuple):
    """A cluster, and a folder with a config whose jobs take seconds."""

    cluster: Cluster
    store: ObjectStore  # which all nodes may read and write
    folder: Path
    conf: Path

    @property
    def python(self) -> Path:
        """Where the driver's Python is unpacked."""
        return self.cluster.folder / "python"

    def start(self, job: str, conf: Path, *arguments: str, **settings: str) -> Job:
        """Start a job as its user does, from a folder that holds nothing."""
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        environment = {
            **self.cluster.submit_environment(self.python / "bin" / "python"),
            **settings,
        }
        return subprocess.Popen(
            [REPOSITORY / "conf/deploy/standalone.sh", job, "--config", str(conf), *arguments],
            env=environment,
            cwd=elsewhere,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: Job) -> list[str]:
        output, _ = process.communicate(timeout=1500)
        assert process.returncode == 0, output
        self.cluster.remove_finished_applications()
        return output.splitlines()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    packed.pack()
    folder = tmp_path_factory.mktemp("cluster")
    draw_stripes(folder / "images", ("lying", "upright"), each=80)
    write_stripes_config(folder / "run.yaml", str(folder))
    with ExitStack() as stack:
        store = stack.enter_context(served(tmp_path_factory.mktemp("s3")))
        nodes = tmp_path_factory.mktemp("nodes")
        cluster = stack.enter_context(standalone_cluster.running_cluster(nodes))
        place = Place(cluster, store, folder, folder / "run.yaml")
        packed.unpack(place.python)
        yield place


def test_executors_have_what_was_shipped_and_nothing_else(place: Place) -> None:
    (place.folder / "out").mkdir(exist_ok=True)
    lines = place.finish(
        place.start("train", place.conf, "--check", "--dataset", str(place.folder / "images"))
    )
    assert not [line for line in lines if line.startswith("WRONG")]
    assert re.search(r"^ok +horovod's build +gloo +gloo$", "\n".join(lines), re.MULTILINE)
    assert re.search(r"^ok +executors +2 of 2 slots$", "\n".join(lines), re.MULTILINE)
    assert not any((place.folder / "out").iterdir())
    (line,) = [line for line in lines if line.startswith("driver: ")]
    assert f"Python {place.python}, Halftone {REPOSITORY}/dist/halftone.zip/halftone, in " in line
    nodes = place.cluster.folder
    for number in (1, 2):
        (line,) = [line for line in lines if f"/worker-{number}/" in line]
        folder = rf"{nodes}/worker-{number}/app-\d+-\d+/\d"
        assert re.fullmatch(
            rf".*, pid \d+: \d+ cores, [\d.]+ GiB, \d+ GPUs; Python {folder}/environment, "
            rf"Halftone {folder}/halftone.zip/halftone, in {folder}",
            line,
        )


def test_killed_executors_change_no_result(place: Place) -> None:
    out = place.folder / "out"
    for job in ("preprocess", "train", "score"):
        run(job, "--config", place.conf)
    undisturbed, learnt = results(place.folder), history(out / "model")
    out.rename(place.folder / "undisturbed")

    # What all nodes see is not sent: the other test shows that sending it works.
    seen = str(place.python)
    process = place.start("preprocess", place.conf, ENVIRONMENT=seen)
    kill_executor(place, process)
    place.finish(process)

    process = place.start("train", place.conf, ENVIRONMENT=seen)
    wait_for(process, out / "model" / "checkpoints" / "epoch-0002.npz")
    ranks = suspended_ranks(place)
    for rank in ranks:
        assert_has_nothing_of_this_repository(rank, place.python)
    kill_executor(place, process)
    for rank in ranks:
        with suppress(psutil.NoSuchProcess):  # that of the killed executor
            rank.resume()
    lines = place.finish(process)
    assert any("2 ranks (spark), batch 16 = 2 x 8" in line for line in lines)
    (restart,) = model_directory.read_model_info(str(out / "model")).restarts
    assert re.fullmatch(r"rank [01] was lost with its Spark task", restart.message)
    assert restart.epoch >= 2
    assert history(out / "model") == learnt

    process = place.start("score", place.conf, ENVIRONMENT=seen)
    kill_executor(place, process)
    place.finish(process)

    assert results(place.folder) == undisturbed
    assert litter(out) == []


def test_trainings_of_an_experiment_run_in_executors(place: Place) -> None:
    place.store.upload(place.folder / "images", f"{BUCKET}/images")
    seen = str(place.python)
    process = place.start(
        "experiment", experiment(place), "--output", f"{ROOT}/out", ENVIRONMENT=seen
    )
    lines = place.finish(process)
    assert "stripes: 2 runs, 2 at a time" in lines
    client = place.store.client()
    table = client.cat_file(f"{BUCKET}/out/table.csv").decode()
    rows = {row["run"]: row for row in csv.DictReader(table.splitlines())}
    assert list(rows) == ["adam", "sgd"]
    for name in rows:
        scores = json.loads(client.cat_file(f"{BUCKET}/out/runs/{name}/scores/metrics.json"))
        assert float(rows[name]["test accuracy"]) == scores["accuracy"]
        log = client.cat_file(f"{BUCKET}/out/runs/{name}/log").decode()
        assert f"model: {ROOT}/out/runs/{name}/model" in log
    assert float(rows["adam"]["test accuracy"]) > 0.9  # lying and upright stripes are easy


def experiment(place: Place) -> Path:
    """Two runs, of which each is a task of one executor."""
    base = yaml.safe_load(place.conf.read_text())
    del base["name"]
    settings = {
        "name": "stripes",
        "on": "spark",
        "parallel": 2,
        "base": {
            **base,
            "paths": {"images": f"{ROOT}/images"},
            "storage": {"options": place.store.options},
            "train": {**base["train"], "ranks": 1, "epochs": 10},
        },
        "runs": [{"name": "adam"}, {"name": "sgd", "set": {"train.optimizer": "sgd"}}],
    }
    path = place.folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def wait_for(process: Job, path: Path) -> None:
    """Wait for what a job writes."""
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def kill_executor(place: Place, process: Job) -> None:
    """Kill the JVM of an executor that is at work."""
    place.cluster.wait_for_python_executor().kill()
    assert process.poll() is None


def suspended_ranks(place: Place) -> list[psutil.Process]:
    """The ranks in all executors; suspended, so that they do not end meanwhile."""
    ranks = [
        process
        for executor in place.cluster.executors()
        for process in standalone_cluster.list_children(executor)
        if "halftone.launch.rank" in standalone_cluster.read_command(process)
    ]
    for process in ranks:
        process.suspend()
    assert len(ranks) == 2
    return ranks


def assert_has_nothing_of_this_repository(rank: psutil.Process, python: Path) -> None:
    """The rank imports the zip that was sent and the packed Python only."""
    assert re.search(r"/worker-[12]/app-\S+/\d$", rank.cwd())
    path = rank.environ()["PYTHONPATH"].split(os.pathsep)
    assert f"{rank.cwd()}/halftone.zip" in path
    libraries = {area.path for area in rank.memory_maps()}
    assert any(name.startswith(f"{python}/") for name in libraries)
    assert not [name for name in (*path, *libraries) if Path(name).is_relative_to(REPOSITORY)]
