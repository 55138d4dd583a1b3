"""Ctrl-C in a job that uses Spark, as a terminal sends it: to the whole process group."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from conftest import DrawImages
from job_runs import PYTHON, ROOT, environment

pytestmark = pytest.mark.odd_folder


@pytest.fixture
def job(tmp_path: Path, draw_images: DrawImages) -> Iterator[subprocess.Popen[str]]:
    """Preprocessing that has just begun, and whose files are all below `tmp_path`."""
    settings = {
        "paths": {"images": str(draw_images(each=400)), "dataset": str(tmp_path / "dataset")},
        "preprocess": {"rows_per_shard": 8},
        "spark": {"master": "local[1]"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    process = subprocess.Popen(
        [*PYTHON, str(ROOT / "jobs" / "preprocess.py"), "--config", str(tmp_path / "run.yaml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_descendant(process: subprocess.Popen[str], word: str) -> list[psutil.Process]:
    """Wait until a process below the job has `word` in its command; return all of them."""
    while process.poll() is None:
        descendants = psutil.Process(process.pid).children(recursive=True)
        for descendant in descendants:
            try:
                if word in " ".join(descendant.cmdline()):
                    return descendants
            except psutil.Error:
                continue
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["spark-class", "org.apache.spark.deploy.SparkSubmit", "pyspark.daemon"]
)
def test_interrupt_ends_the_job_with_one_line_and_leaves_nothing(
    job: subprocess.Popen[str], tmp_path: Path, command: str
) -> None:
    descendants = wait_for_descendant(job, command)
    os.killpg(job.pid, signal.SIGINT)
    _, err = job.communicate(timeout=60)
    assert job.returncode == 130
    of_jvm = (
        "log level",
        "logging level",
        "NativeCodeLoader",
        "Spark log level",
    )  # what the JVM may print when it starts
    lines = [line for line in err.splitlines() if not any(word in line for word in of_jvm)]
    assert lines == ["interrupted; run the same command again to go on"]
    _, running = psutil.wait_procs(descendants, timeout=10)
    assert [item for item in running if item.status() != psutil.STATUS_ZOMBIE] == []
    assert list((tmp_path / "tmp").iterdir()) == []
