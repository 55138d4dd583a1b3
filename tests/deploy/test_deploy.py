"""What conf/deploy would have Spark, Docker and Databricks do, as far as it can be told here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "conf" / "deploy"
SETTINGS = {
    "standalone": {"MASTER": "spark://host:7077"},
    "yarn": {"HADOOP_CONF_DIR": "/etc/hadoop/conf"},
    "kubernetes": {"MASTER": "k8s://https://host:6443", "IMAGE": "registry/halftone:1"},
}


def submitted(tmp_path: Path, cluster: str, *arguments: str, **settings: str) -> list[str]:
    """What a script gives to spark-submit, in a folder `halftone` that has its archive."""
    archive = tmp_path / "halftone" / "dist" / "environment.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_text("packed")
    done = started(tmp_path, cluster, *arguments, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def started(
    tmp_path: Path, cluster: str, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """A script in a folder `halftone`, with a spark-submit that prints what it is given."""
    scripts = tmp_path / "halftone" / "conf" / "deploy"
    shutil.copytree(DEPLOY, scripts, dirs_exist_ok=True)
    submit = tmp_path / "spark-submit"
    submit.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    submit.chmod(0o755)
    own = {**SETTINGS[cluster], "SPARK_SUBMIT": str(submit), "DRIVER_PYTHON": "/python"}
    return subprocess.run(
        [scripts / f"{cluster}.sh", *arguments],
        env={"PATH": "/usr/bin:/bin", **own, **settings},
        capture_output=True,
        text=True,
        cwd="/",
    )


def parsed(spark: SparkSession, arguments: list[str]) -> Any:
    """The same, as Spark's own code understands it; it raises where it does not."""
    jvm = spark.sparkContext._jvm
    environment = jvm.java.util.HashMap()
    environment.put("HADOOP_CONF_DIR", "/etc/hadoop/conf")
    scala = jvm.org.apache.spark.api.python.PythonUtils
    submit_arguments = scala.toSeq(jvm.java.util.ArrayList(arguments))
    return jvm.org.apache.spark.deploy.SparkSubmitArguments(
        submit_arguments, scala.toScalaMap(environment)
    )


def conf(arguments: list[str]) -> dict[str, str]:
    pairs = [arguments[index + 1] for index, flag in enumerate(arguments[:-1]) if flag == "--conf"]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize(
    ("cluster", "master", "mode", "resource"),
    [
        ("standalone", "spark://host:7077", "client", "file:{home}/jobs/train.py"),
        ("yarn", "yarn", "client", "file:{home}/jobs/train.py"),
        ("kubernetes", "k8s://https://host:6443", "cluster", "local:///opt/halftone/jobs/train.py"),
    ],
)
def test_spark_understands_the_lines(
    spark: SparkSession, tmp_path: Path, cluster: str, master: str, mode: str, resource: str
) -> None:
    arguments = ("train", "--config", "conf/faces.yaml", "--set", "train.ranks=4")
    for settings in ({}, {"GPUS": "2", "SUBMIT_ARGS": "--driver-memory 3g --verbose"}):
        submit_arguments = submitted(tmp_path, cluster, *arguments, **settings)
        parsed_arguments = parsed(spark, submit_arguments)
        assert parsed_arguments.master() == master
        assert parsed_arguments.deployMode() == mode
        assert parsed_arguments.primaryResource() == resource.format(home=tmp_path / "halftone")
        own = parsed_arguments.childArgs()
        assert [own.apply(index) for index in range(own.size())] == list(arguments[1:])
        assert parsed_arguments.driverMemory() == ("3g" if settings else None)
        amounts = {k: v for k, v in conf(submit_arguments).items() if k.endswith(".gpu.amount")}
        wanted = {f"spark.{of}.resource.gpu.amount": "2" for of in ("executor", "task")}
        assert amounts == (wanted if settings else {})


def test_spark_refuses_a_line_that_is_wrong(spark: SparkSession, tmp_path: Path) -> None:
    submit_arguments = submitted(
        tmp_path, "yarn", "train", "--config", "x", SUBMIT_ARGS="--num-executor 3"
    )
    with pytest.raises(Exception, match="Unrecognized option '--num-executor'"):
        parsed(spark, submit_arguments)


def test_an_environment_that_all_nodes_see_is_not_sent(tmp_path: Path) -> None:
    home = tmp_path / "halftone"
    sent = submitted(tmp_path, "standalone", "score", "--config", "x")
    seen = submitted(tmp_path, "standalone", "score", "--config", "x", ENVIRONMENT="/nfs/python")
    assert [word for word in sent if word not in seen] == [
        "--files",
        f"{home}/dist/environment.packed,{home}/conf/deploy/python.sh",
        "spark.pyspark.python=./python.sh",
    ]
    assert [word for word in seen if word not in sent] == [
        "spark.pyspark.python=/nfs/python/bin/python"
    ]
    assert (home / "dist" / "environment.packed").read_text() == "packed"
    (home / "dist" / "environment.tar.gz").unlink()
    done = started(tmp_path, "standalone", "score", "--config", "x")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"standalone.sh: {home}/dist/environment.tar.gz is missing; run ./build.sh package\n",
    )
    started_all_the_same = started(tmp_path, "standalone", "score", ENVIRONMENT="/nfs/python")
    assert started_all_the_same.returncode == 0


def test_yarn_gets_an_archive_that_is_on_hdfs_or_a_folder_that_all_nodes_see(
    tmp_path: Path,
) -> None:
    home = tmp_path / "halftone"
    unpacked = "spark.pyspark.python=./environment/bin/python"
    for environment, expected in {
        "": ["--archives", f"{home}/dist/environment.tar.gz#environment", "--conf", unpacked],
        "hdfs:///apps/e.tar.gz": [
            *("--archives", "hdfs:///apps/e.tar.gz#environment", "--conf", unpacked),
        ],
        "/nfs/python": ["--conf", "spark.pyspark.python=/nfs/python/bin/python"],
    }.items():
        sent = submitted(tmp_path, "yarn", "score", "--config", "x", ENVIRONMENT=environment)
        start = sent.index("spark.dynamicAllocation.enabled=false") + 1
        assert sent[start : start + len(expected)] == expected
        assert ("--archives" in sent) == ("--archives" in expected)
    (home / "dist" / "environment.tar.gz").unlink()
    done = started(tmp_path, "yarn", "score", "--config", "x")
    assert (done.returncode, done.stderr) == (
        2,
        f"yarn.sh: {home}/dist/environment.tar.gz is missing; run ./build.sh package\n",
    )


def test_the_config_is_sent_to_a_driver_in_a_container(tmp_path: Path) -> None:
    arguments = ("train", "--config", "conf/faces.yaml", "--set", "train.ranks=4")
    sent = submitted(tmp_path, "yarn", *arguments, MODE="cluster", GPUS="1")
    home = tmp_path / "halftone"
    assert sent[sent.index("--deploy-mode") + 1] == "cluster"
    files = sent[sent.index("--files") + 1]
    assert files == f"{home}/conf/deploy/gpus.sh,conf/faces.yaml"
    assert sent[-4:] == ["--config", "faces.yaml", "--set", "train.ranks=4"]
    assert not [word for word in sent if "driver.python" in word]


def test_an_executor_unpacks_its_python_once(tmp_path: Path) -> None:
    python = tmp_path / "packing" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nsleep 0.2; echo "$0: $*"\n')
    python.chmod(0o755)
    node = tmp_path / "node"
    (node / "environment.part" / "left").mkdir(parents=True)  # by one that was killed
    shutil.copy2(DEPLOY / "python.sh", node)
    command = ["tar", "-czf", node / "environment.packed", "-C", python.parents[1], "bin"]
    subprocess.run(command, check=True)
    both = [
        subprocess.Popen(
            ["./python.sh", "-m", f"one {number}"], cwd=node, stdout=subprocess.PIPE, text=True
        )
        for number in range(2)
    ]
    output = [process.communicate(timeout=60)[0] for process in both]
    assert output == [f"{node}/environment/bin/python: -m one {number}\n" for number in range(2)]
    assert sorted(path.name for path in node.iterdir()) == [
        "environment",
        "environment.lock",
        "python.sh",
    ]
    assert [path.name for path in (node / "environment").iterdir()] == ["bin"]


def test_an_archive_that_does_not_unpack_starts_no_python(tmp_path: Path) -> None:
    shutil.copy2(DEPLOY / "python.sh", tmp_path)
    (tmp_path / "environment.packed").write_bytes(b"half")
    done = subprocess.run(
        [tmp_path / "python.sh"],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "not in gzip format" in done.stderr
    assert (tmp_path / "environment.packed").exists()
    assert not (tmp_path / "environment").exists()


@pytest.mark.parametrize("cluster", sorted(SETTINGS))
@pytest.mark.parametrize("job", ["preprocess", "train"])
def test_settings_that_spark_knows(
    spark: SparkSession, tmp_path: Path, cluster: str, job: str
) -> None:
    jvm = spark.sparkContext._jvm
    assert jvm.org.apache.spark.deploy.k8s.Config.KUBERNETES_NAMESPACE()  # loads those of its own
    submit_arguments = conf(submitted(tmp_path, cluster, job, "--config", "x", GPUS="1"))
    known = jvm.org.apache.spark.internal.config.ConfigEntry.findEntry
    dynamic = r"spark\.(executor|task)\.resource\.gpu\.(amount|vendor|discoveryScript)"
    unknown = [
        key for key in submit_arguments if known(key) is None and not re.fullmatch(dynamic, key)
    ]
    assert unknown == []
    assert ("spark.task.cpus" in submit_arguments) == (job == "train" and cluster != "standalone")


def test_the_gpus_of_a_machine(tmp_path: Path) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 0\necho 1\n")
    smi.chmod(0o755)
    output = subprocess.run(
        [DEPLOY / "gpus.sh"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(output) == {"name": "gpu", "addresses": ["0", "1"]}


def test_what_the_image_is_made_of_is_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    sources = [line.split()[1] for line in lines if line.startswith(("ADD ", "COPY "))]
    assert sources == ["dist/environment.tar.gz", "dist/halftone.zip", "jobs", "conf"]
    assert all((ROOT / source).is_dir() for source in sources[2:])


BUNDLE = yaml.safe_load((DEPLOY / "databricks.yml").read_text())
RESOURCES = DEPLOY / "databricks" / "jobs.yml"
JOBS = yaml.safe_load(RESOURCES.read_text())["resources"]["jobs"]
TASKS = {task["task_key"]: task for job in JOBS.values() for task in job["tasks"]}


@cache
def help_of(path: Path) -> str:
    command = [sys.executable, str(path), "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_databricks_own_models_take_the_jobs() -> None:
    bundles = pytest.importorskip("databricks.bundles.jobs", reason="needs Python 3.10")
    for job in JOBS.values():
        bundles.Job.from_dict(job)
    with pytest.raises(ValueError, match="Unexpected field 'max_concurent_runs' for class Job"):
        bundles.Job.from_dict({**JOBS["faces"], "max_concurent_runs": 1})


def test_the_bundle_names_what_is_there() -> None:
    assert [path for pattern in BUNDLE["include"] for path in DEPLOY.glob(pattern)] == [RESOURCES]
    for path in (*BUNDLE["sync"]["paths"], BUNDLE["artifacts"]["halftone"]["path"]):
        assert (DEPLOY / path).resolve() == ROOT
    text = RESOURCES.read_text() + (DEPLOY / "databricks.yml").read_text()
    assert {*re.findall(r"\$\{var\.(\w+)\}", text)} == set(BUNDLE["variables"])
    of_files = re.findall(r"\$\{workspace\.file_path\}/(\S+)", text)
    assert of_files
    assert [path for path in of_files if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("key", sorted(TASKS))
def test_a_task_calls_a_job_with_flags_that_it_has(key: str) -> None:
    call = TASKS[key]["spark_python_task"]
    job = (RESOURCES.parent / call["python_file"]).resolve()
    assert job == ROOT / "jobs" / f"{key}.py"
    flags = [word for word in call["parameters"] if word.startswith("--")]
    assert flags[0] == "--config"
    assert [flag for flag in flags if f"{flag} " not in help_of(job)] == []


def test_the_order_of_tasks_and_where_they_run() -> None:
    after = {key: [one["task_key"] for one in t.get("depends_on", [])] for key, t in TASKS.items()}
    assert after == {"preprocess": [], "train": ["preprocess"], "score": ["train"], "retrain": []}
    for job in JOBS.values():
        clusters = {one["job_cluster_key"]: one["new_cluster"] for one in job["job_clusters"]}
        assert {task["job_cluster_key"] for task in job["tasks"]} == set(clusters)
        modes = {key: cluster["data_security_mode"] for key, cluster in clusters.items()}
        wanted = {"many": "STANDARD", "ranks": "DEDICATED"}
        assert modes == {key: f"DATA_SECURITY_MODE_{wanted[key]}" for key in clusters}
    # Packages come from a list on standard compute, and from an init script with Horovod's wheel.
    kinds = {
        key: [kind for one in task["libraries"] for kind in one] for key, task in TASKS.items()
    }
    assert kinds["preprocess"] == kinds["score"] == ["whl", "requirements"]
    assert kinds["train"] == kinds["retrain"] == ["whl"]
    assert set(JOBS["retrain"]["schedule"]) == {"quartz_cron_expression", "timezone_id"}
    assert [name for name, one in BUNDLE["targets"].items() if one.get("default")] == ["dev"]
    assert {name: one["mode"] for name, one in BUNDLE["targets"].items()} == {
        "dev": "development",
        "prod": "production",
    }
