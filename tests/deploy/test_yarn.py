"""The jobs on Hadoop's own YARN, with all paths on its HDFS, and a killed container in each stage.

The Python of the containers is that of the packed environment, in a folder that all nodes see. YARN
can also be given the archive, which takes minutes to unpack here: Hadoop's minicluster has none of
Hadoop's native libraries, and starts a process for each of its files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyspark
import pytest

import packed
from conftest import draw_stripes
from hadoop_cluster import Hadoop, running_hadoop
from halftone import model_directory, storage
from job_runs import ROOT as REPOSITORY
from job_runs import litter, results, run, write_stripes_config
from standalone_cluster import COMPILER_OPTION, list_children, read_command
from training_jobs import history

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.needs("hadoop")]
Job = subprocess.Popen[str]


class Place(NamedTuple):
    """A cluster, and a folder with images and a config for them."""

    hadoop: Hadoop
    folder: Path

    def start(self, job: str, mode: str = "client") -> Job:
        """Start a job as its user does, from a folder that holds nothing.

        Args:
            mode: cluster, to run the driver in a container too.
        """
        spark_home = Path(pyspark.__file__).parent
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        # Nodes have Spark's jars, as they do if spark.yarn.archive is set; else they are uploaded.
        submit = [
            f"spark.yarn.jars=local:{spark_home}/jars/*",
            "spark.driver.memory=512m",
            "spark.yarn.am.memory=512m",
            "spark.yarn.scheduler.heartbeat.interval-ms=300",
            "spark.ui.enabled=false",
            # The jobs end before a second compiler has paid off.
            f"spark.yarn.am.extraJavaOptions={COMPILER_OPTION}",
            f"spark.driver.extraJavaOptions={COMPILER_OPTION}",
            f"spark.executor.extraJavaOptions={COMPILER_OPTION}",
        ]
        environment = {
            **{name: os.environ[name] for name in ("JAVA_HOME", "HOME") if name in os.environ},
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "SPARK_HOME": str(spark_home),
            "SPARK_SUBMIT": str(spark_home / "bin" / "spark-submit"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "HADOOP_CONF_DIR": str(self.hadoop.conf),
            "DRIVER_PYTHON": sys.executable,
            "ENVIRONMENT": str(self.folder / "python"),
            "MODE": mode,
            **{"EXECUTORS": "2", "CORES": "1", "MEMORY": "512m", "OVERHEAD": "512m"},
            "SPARK_SUBMIT_OPTS": COMPILER_OPTION,
            "SUBMIT_ARGS": " ".join(f"--conf {setting}" for setting in submit),
        }
        return subprocess.Popen(
            [REPOSITORY / "conf/deploy/yarn.sh", job, "--config", str(self.folder / "yarn.yaml")],
            env=environment,
            cwd=elsewhere,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def executors(self) -> list[psutil.Process]:
        return self.hadoop.list_containers("YarnCoarseGrainedExecutorBackend")


def finish(process: Job) -> list[str]:
    output, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, output
    return output.splitlines()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("yarn")
    packed.pack()
    packed.unpack(folder / "python")
    images = draw_stripes(folder / "images", ("lying", "upright"), each=40)
    with running_hadoop(tmp_path_factory.mktemp("hadoop"), node_managers=2) as hadoop:
        for path in images.rglob("*.png"):
            to = f"{hadoop.webhdfs}/images/{path.relative_to(images)}"
            storage.write_bytes(to, path.read_bytes())
        for name, root in (("local", str(folder)), ("yarn", hadoop.webhdfs)):
            write_stripes_config(folder / f"{name}.yaml", root)
        yield Place(hadoop, folder)


def test_killed_containers_change_no_result(place: Place) -> None:
    for job in ("preprocess", "train", "score"):
        run(job, "--config", place.folder / "local.yaml")
    undisturbed, learnt = results(place.folder), history(place.folder / "out" / "model")
    (place.folder / "out").rename(place.folder / "undisturbed")
    out = f"{place.hadoop.webhdfs}/out"

    process = place.start("preprocess")
    kill_container(place, process)
    finish(process)

    process = place.start("train")
    wait_for(process, f"{out}/model/checkpoints/epoch-0002.npz")
    ranks = suspended_ranks(place)
    assert len({container_of(rank) for rank in ranks}) == 2
    for rank in ranks:
        assert_is_of_the_packed(place, rank)
    kill_container(place, process)
    for rank in ranks:
        with suppress(psutil.NoSuchProcess):  # that of the killed container
            rank.resume()
    lines = finish(process)
    assert any("2 ranks (spark), batch 16 = 2 x 8" in line for line in lines)
    (restart,) = model_directory.read_model_info(f"{out}/model").restarts
    assert re.fullmatch(r"rank [01] was lost with its Spark task", restart.message)
    assert restart.epoch >= 2

    process = place.start("score", mode="cluster")
    kill_container(place, process)
    finish(process)

    download(out, place.folder / "out")
    assert history(place.folder / "out" / "model") == learnt
    assert without_location(results(place.folder)) == without_location(undisturbed)
    # A rank that is killed while it writes leaves a temporary file, which is no result.
    left = litter(place.folder / "out")
    assert len(left) <= 1
    assert all(re.match(r"model/(\w+/)?\.tmp-", name) for name in left)


def without_location(found: dict[str, Any]) -> dict[str, Any]:
    """Return results without the location of the images, which is in keys and names of files."""
    rows = [{**row, "key": row["key"].rpartition("/images/")[2]} for row in found["rows"]]
    files = [(file["digest"], file["rows"]) for file in found["files"]]
    return {**found, "rows": rows, "files": files}


def download(url: str, folder: Path) -> None:
    for file in storage.list_files(url):
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read_bytes(f"{url}/{file.path}"))


def wait_for(process: Job, url: str) -> None:
    while not storage.exists(url):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def kill_container(place: Place, process: Job) -> None:
    """Kill the JVM of a container whose Python is at work."""
    while True:
        assert process.poll() is None, process.communicate()[0]
        for executor in place.executors():
            if any("pyspark.daemon" in read_command(child) for child in list_children(executor)):
                executor.kill()
                return
        time.sleep(0.05)


def suspended_ranks(place: Place) -> list[psutil.Process]:
    """The ranks in all containers; suspended, so that they do not end meanwhile."""
    ranks = [
        process
        for executor in place.executors()
        for process in list_children(executor)
        if "halftone.launch.rank" in read_command(process)
    ]
    for process in ranks:
        process.suspend()
    assert len(ranks) == 2
    return ranks


def container_of(rank: psutil.Process) -> str:
    """The container in whose folder a rank runs."""
    (container,) = re.findall(r"/(container_\d+_\d+_\d+_\d+)$", rank.cwd())
    return str(container)


def assert_is_of_the_packed(place: Place, rank: psutil.Process) -> None:
    """The rank can import, and has loaded, nothing of this repository."""
    path = rank.environ()["PYTHONPATH"].split(os.pathsep)
    assert any(name.endswith("/halftone.zip") for name in path)
    libraries = {area.path for area in rank.memory_maps()}
    assert any(name.startswith(f"{place.folder}/python/") for name in libraries)
    assert not [name for name in libraries if Path(name).is_relative_to(REPOSITORY)]
    assert f"{REPOSITORY}/lib" not in path
